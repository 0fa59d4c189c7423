"""The README's picture: the data of sleepstudy, each subject's own line and the model's."""

from pathlib import Path

import lmerbridge as lb

m = lb.lmer("Reaction ~ Days + (Days | Subject)", lb.datasets.load("sleepstudy"), engine="native")
figure = lb.plots.pooling(m)[0].figure
figure.set_size_inches(8.5, 4.2)
figure.savefig(Path(__file__).parent / "images" / "sleepstudy.png", dpi=90)
