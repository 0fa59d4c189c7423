# %% [markdown]
# # Document 4: Mixed effects models (DAAG, chapter 10)
#
# Attitudes to science by sex and type of school, in classes within schools; weights of chicks by
# diet.

# %%
import numpy as np
from figures import figure, save

import lmerbridge as lb

science = lb.datasets.load("science")

# %% The motivating problem
print(science.groupby("PrivPub", observed=True)["Class"].agg(["size", "nunique"]).to_string())
sizes = science.groupby(["school", "class"], observed=True).size()
print(f"{len(science)} students in {len(sizes)} classes of {sizes.min()} to {sizes.max()}")

# %% Science attitude fit: the schools' variance is 0
fit = lb.lmer("like ~ sex + PrivPub + (1 | school) + (1 | school:class)", science)
print(fit.summary())
print(fit.ranova())

# %% ... no school effects
fit1 = lb.lmer("like ~ sex + PrivPub + (1 | school:class)", science)
print(fit1.summary(ddf="Kenward-Roger"))
shares = fit1.VarCorr()["vcov"] / fit1.VarCorr()["vcov"].sum()
print(f"between classes {100 * shares.iloc[0]:.1f}%, between students {100 * shares.iloc[1]:.1f}%")
print(fit1.confint())
print(fit1.emmeans("PrivPub"))
print(fit1.emmeans("pairwise ~ sex"))
save(lb.plots.caterpillar(fit1), "4_1_classes")

# %% Getting the error structure wrong: ignoring class effects, then schools as well
wrong = lb.lmer("like ~ sex + PrivPub + (1 | school)", science)
print(wrong.summary())
none = lb.lm("like ~ sex + PrivPub", science)
print(none.summary())
save(
    lb.plots.estimates({"classes": fit1, "schools": wrong, "neither": none}, intercept=False),
    "4_2_error_structures",
)

# %% Random slopes: chicks, with the square root of their weight
ChickWeight = lb.datasets.load("ChickWeight")
chicks = lb.lmer("sqrt(weight) ~ Time + (Time - 1 | Chick) + Diet:Time", ChickWeight)
print(chicks.summary())
figure_of = {}
for diet, own in ChickWeight.groupby("Diet", observed=True):
    ax = figure(width=4, height=3)
    for _, chick in own.groupby("Chick", observed=True):
        ax.plot(chick["Time"], np.sqrt(chick["weight"]), color="0.7", linewidth=0.8)
        ax.plot(chick["Time"], chicks.predict(chick), color="C0", linewidth=0.8)
    ax.set_title(f"Diet {diet}")
    ax.set_xlabel("Time")
    ax.set_ylabel("sqrt(weight)")
    save(ax, f"4_3_diet_{diet}")
print(chicks.anova())
print(chicks.emtrends("Diet", "Time"))

# %% Pooling: the classes' average attitudes, each by itself and drawn together
means = lb.lmer("like ~ 1 + (1 | school:class)", science)
table = means.pooling()
print(table.head(5).to_string())
save(lb.plots.shrinkage(means), "4_4_pooling")
