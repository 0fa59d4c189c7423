# %% [markdown]
# # Document 3: Linear mixed effects models 2 (lecture)
#
# Understanding the summary, the paired t test, simulating, outliers, different slopes, Simpson's
# paradox, and pooling with its two plots.

# %%
import numpy as np
import pandas as pd
from figures import figure, save
from scipy import stats

import lmerbridge as lb


def load(name):
    return lb.datasets.load(f"psych252_{name}")


# %% A linear model and a mixed one
original = load("original")
original["condition"] = original["condition"].astype("category")
print(lb.lm("value ~ 1 + condition", original).coef().to_string())
fit = lb.lmer("value ~ 1 + condition + (1 | participant)", original)
print(fit.coef()["participant"].to_string())
print(fit.summary())

# %% We just performed a paired t test
one, two = (own["value"].to_numpy() for _, own in original.groupby("condition", observed=True))
test = stats.ttest_rel(one, two)
limits = test.confidence_interval()
print(f"t = {test.statistic:.3f}, df = {test.df}, p-value = {test.pvalue:.4g}")
print(f"95 percent confidence interval: {limits.low:.7f} {limits.high:.7f}")
# the mixed model says the same, with the same degrees of freedom
print(fit.summary(ddf="Satterthwaite").coefficients.to_string())

# %% Let's simulate an lmer(), and find the parameters again
simulated = load("test")
fit_test = lb.lmer("value ~ 1 + condition + (1 | participant)", simulated)
print(fit_test.summary())
design = pd.DataFrame({"condition": np.repeat([0, 1], 100), "participant": np.tile(range(100), 2)})
many = lb.simulate_design(
    "value ~ condition + (1 | participant)", design, [1, 2], [0.5], 1.0, nsim=500, seed=1
)
refits = lb.lmer(
    "value ~ condition + (1 | participant)", design.assign(value=many["sim_1"])
).refit_many(many.to_numpy())
print(pd.DataFrame(refits.beta, columns=list(refits.names)).agg(["mean", "std"]).to_string())

# %% Is taking individual differences into account worth it?
fit_lm = lb.lm("value ~ 1 + condition", simulated)
print(fit_test.anova(fit_lm, model_names=["fit.test", "fit.lm"]))

# %% Outliers: one participant moves the intercept and its error, not the difference
before = lb.lmer("value ~ 1 + condition + (1 | participant)", load("outlier_before"))
after = lb.lmer("value ~ 1 + condition + (1 | participant)", load("outlier"))
print(before.summary())
print(after.summary())
print(after.influence("participant").cooks_distance().nlargest(3).to_string())
ax = figure()
made = after.simulate(1, seed=1)["sim_1"]
ax.plot(np.arange(len(made)), load("outlier")["value"], "o", label="data")
ax.plot(np.arange(len(made)), made, "x", label="simulated")
ax.set_xlabel("row")
ax.set_ylabel("value")
ax.legend(frameon=False)
save(ax, "3_1_outlier_simulated")

# %% Different slopes: random intercepts find nothing, and random slopes cannot be told apart
slopes = load("slopes")
print(lb.lmer("value ~ 1 + condition + (1 | participant)", slopes).summary())
try:
    lb.lmer("value ~ 1 + condition + (1 + condition | participant)", slopes)
except lb.DataError as error:
    print(f"Error: {error}")

# %% Simpson's paradox
simpson = load("simpson")
print(lb.lm("y ~ x", simpson).summary())
paradox = lb.lmer("y ~ 1 + x + (1 | participant)", simpson)
print(paradox.summary())
save(lb.plots.effects(paradox, "x"), "3_2_simpson")
admissions = lb.datasets.load("UCBAdmissions")
print(admissions.head(4).to_string())

# %% A worked example: pooling
df_sleep = lb.datasets.load("df_sleep")
formula = "reaction ~ 1 + days + "
complete = lb.lm("reaction ~ days", df_sleep)
print(complete.summary())
none = lb.lmList("reaction ~ days | subject", df_sleep)
print(none)
partial = lb.lmer(formula + "(1 + days | subject)", df_sleep)
intercepts = lb.lmer(formula + "(1 | subject)", df_sleep)
only_slopes = lb.lmer(formula + "(0 + days | subject)", df_sleep)
for m in (intercepts, only_slopes, partial):
    print(m.coef()["subject"].round(4).to_string())

# %% The three side by side
print(partial.pooling().head(6).to_string())
save(lb.plots.pooling(partial), "3_3_pooling")

# %% Shrinkage: each participant's own estimate is drawn to the average, more so with less data
save(lb.plots.shrinkage(partial), "3_4_shrinkage")
wide = partial.pooling().pivot_table(index="group", columns="term", values=["none", "partial"])
moved = (wide["partial"] - wide["none"]).abs()
print(moved.nlargest(3, "days").round(3).to_string())
