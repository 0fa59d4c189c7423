# %% [markdown]
# # Document 2: Thinking about mixed models
#
# The applied example (sleepstudy), the simulations, and the same model written in several ways.

# %%
import numpy as np
import pandas as pd
from figures import figure, save

import lmerbridge as lb

sleepstudy = lb.datasets.load("sleepstudy")

# %% A standard linear model
slim = lb.lm("Reaction ~ Days", sleepstudy)
print(slim.summary())
ax = figure()
for _, own in sleepstudy.groupby("Subject", observed=True):
    line = np.polynomial.Polynomial.fit(own["Days"], own["Reaction"], 1)
    ax.plot(own["Days"], line(own["Days"]), color="C0", alpha=0.4)
ax.plot(sleepstudy["Days"], slim.fitted(), color="black")
ax.set_xlabel("Days")
ax.set_ylabel("Reaction")
save(ax, "2_1_one_line_and_many")

# %% Simulate a mixed model: random intercepts (the document's data, and data of our own)
d = lb.datasets.load("clark_random_intercept")
print(lb.lmer("y ~ x + (1 | clus)", d).summary())
design = pd.DataFrame({"clus": np.repeat(np.arange(100), 10)})
design["x"] = np.random.default_rng(1234).normal(size=1000)
# intercept 3, slope 0.75; the intercepts' standard deviation 0.5 over sigma 1
design["y"] = lb.simulate_design("y ~ x + (1 | clus)", design, [3, 0.75], [0.5], 1.0, seed=1234)
ours = lb.lmer("y ~ x + (1 | clus)", design)
print(ours.confint())

# %% Applied example: random intercepts and slopes
sleep_mod = lb.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
print(sleep_mod.summary())
modes = sleep_mod.ranef()
print(modes.pivot_table(index="grp", columns="term", values="condval").round(5).to_string())
trajectories = sleep_mod.coef()["Subject"]
print(trajectories.head(6).round(5).to_string())
save(lb.plots.caterpillar(sleep_mod), "2_2_random_effects")

# %% Three subjects: their own lines against the common one
ax = figure()
for k, subject in enumerate(["308", "309", "310"]):
    own = sleepstudy[sleepstudy["Subject"].astype(str) == subject]
    ax.plot(own["Days"], own["Reaction"], "o", color=f"C{k}", label=subject)
    ax.plot(own["Days"], sleep_mod.predict(own), color=f"C{k}")
days = pd.DataFrame({"Days": np.arange(10)})
ax.plot(days["Days"], sleep_mod.predict(days, re_form="NA"), "--", color="black", label="average")
ax.set_xlabel("Days")
ax.set_ylabel("Reaction")
ax.legend(frameon=False)
save(ax, "2_3_three_subjects")

# %% What lme4 leaves out on purpose: p-values, here with their degrees of freedom
print(sleep_mod.summary(ddf="Kenward-Roger").coefficients.round(6).to_string())

# %% Appendix: random intercepts and slopes
d = lb.datasets.load("clark_random_slope")
slopes = lb.lmer("y ~ x + (x | clus)", d)
print(slopes.summary())

# %% Model 5: the marginal covariance matrix, Z psi Z' + sigma^2 I, of the first cluster
Z = slopes.model_matrix("random").toarray()[:10, :2]
psi = slopes.result.estimates.random[0].covariance
V = Z @ psi @ Z.T + slopes.sigma() ** 2 * np.eye(10)
print(pd.DataFrame(V).round(3).to_string())

# %% The intraclass correlation of model 4a
print(f"ICC {lb.lmer('Reaction ~ Days + (1 | Subject)', sleepstudy).icc().adjusted:.4f}")
