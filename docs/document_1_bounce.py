# %% [markdown]
# # Document 1: Linear mixed effect modeling (bounce times of a web site)
#
# The whole analysis of the chapter, in its order, with lmerbridge. It needs the bounce data
# (`lb.datasets.load("bounce")` fetches it, or finds it in the folder that LMERBRIDGE_DATA names).
# Where the chapter's own cells failed, they run here: the RMSE of both mixed models, and the fit
# with random slopes, which statsmodels could not finish.

# %%
import numpy as np
import pandas as pd
from figures import figure, save

import lmerbridge as lb

bounce = lb.datasets.load("bounce")
print(bounce.head(15).to_string())

# %% Figures 1 and 2: what was measured
ax = figure(width=5)
ax.hist(bounce["bounce_time"], bins=30, color="C0")
ax.set_xlabel("bounce_time")
save(ax, "1_1_bounce_times")
ax = figure(width=5)
ax.hist(bounce["age"], bins=30, color="C0")
ax.set_xlabel("age")
save(ax, "1_2_ages")

# %% Age in standard deviations from its mean (those of the population, as scikit-learn has them)
age = bounce["age"].astype(float)
bounce["age_scaled"] = (age - age.mean()) / age.std(ddof=0)
ax = figure(width=5)
ax.hist(bounce["age_scaled"], bins=30, color="C0")
ax.set_xlabel("age_scaled")
save(ax, "1_3_scaled_ages")

# %% 16.2 Simple linear regression
linear = lb.lm("bounce_time ~ age_scaled", bounce)
print(linear.summary())
ax = figure()
ax.plot(bounce["age_scaled"], bounce["bounce_time"], "o", markersize=3)
grid = pd.DataFrame({"age_scaled": [-3.0, 3.0]})
ax.plot(grid["age_scaled"], linear.predict(grid), color="black")
ax.set_xlabel("age_scaled")
ax.set_ylabel("bounce_time")
save(ax, "1_4_one_line")
results = {"Linear Regression": linear.rmse()}

# %% The residuals are not independent of the county
ax = figure()
ax.plot(linear.fitted(), linear.residuals(), "o", markersize=3)
ax.axhline(0, color="0.7")
ax.set_xlabel("predicted")
ax.set_ylabel("residual")
save(ax, "1_5_residuals")
counties = list(dict.fromkeys(bounce["county"].astype(str)))
ax = figure()
jitter = np.random.default_rng(0).uniform(-0.15, 0.15, len(bounce))
ax.plot(
    bounce["county"].astype(str).map(counties.index) + jitter,
    bounce["bounce_time"],
    "o",
    markersize=2.5,
)
ax.set_xticks(range(len(counties)), counties)
ax.set_ylabel("bounce_time")
save(ax, "1_6_counties")

# %% 16.3 A regression for each county
separate = lb.lmList("bounce_time ~ age_scaled | county", bounce)
print(separate)

# %% 16.4 County as a fixed effect
fixed = lb.lm("bounce_time ~ 0 + county + age_scaled", bounce)
# the chapter has the counties' intercepts as deviations from their mean
own = fixed.coef().filter(like="county")
print(fixed.coef()["age_scaled"].round(6), (own - own.mean()).round(6).to_string(), sep="\n")
results["Fixed"] = fixed.rmse()
print(pd.DataFrame({"Method": list(results), "RMSE": list(results.values())}).round(6).to_string())

# %% 16.5 A mixed model with random intercepts
mixed = lb.lmer("bounce_time ~ age_scaled + (1 | county)", bounce)
print(mixed.summary(ddf="Satterthwaite"))
print(mixed.confint())
results["Mixed"] = mixed.rmse()
save(lb.plots.residuals_fitted(mixed), "1_7_mixed_residuals")

# %% ... and with random slopes: what failed in the chapter
slopes = lb.lmer("bounce_time ~ age_scaled + (age_scaled | county)", bounce)
print(slopes.summary(ddf="Satterthwaite"))
print(slopes.confint())
results["Mixed_Random_Slopes"] = slopes.rmse()
save(lb.plots.residuals_fitted(slopes), "1_8_random_slope_residuals")
save(lb.plots.pooling(slopes), "1_9_counties_pooled")

# %% The chapter's table, complete
table = pd.DataFrame({"Method": list(results), "RMSE": list(results.values())})
print(table.round(6).to_string())

# %% Is the slope needed, and is age?
print(slopes.ranova())
print(slopes.anova())
print(mixed.anova(slopes, model_names=["mixed", "slopes"]))

# %% The three places within each county, which the chapter leaves to its reader
nested = lb.lmer("bounce_time ~ age_scaled + (1 | county/location)", bounce)
print(nested.summary())
print(nested.ranova())
print(f"ICC by group: { {k: round(v, 3) for k, v in nested.icc().by_group.items()} }")
save(lb.plots.caterpillar(nested), "1_10_places")
