"""What many methods need of a fit is computed once, whichever of them asks first."""

import copy
import gc
import pickle

import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from lmerbridge import likelihood
from lmerbridge.errors import FitMessage
from lmerbridge.inference.fit import Fit
from lmerbridge.likelihood import kept_products, products_of

ASKED = {
    "summary by Satterthwaite": lambda m: m.summary(ddf="Satterthwaite"),
    "summary by Kenward-Roger": lambda m: m.summary(ddf="Kenward-Roger"),
    "anova": lambda m: m.anova(),
    "lme4's anova": lambda m: m.anova(ddf="lme4"),
    "contest": lambda m: m.contest(np.eye(2)),
    "emmeans": lambda m: m.emmeans("Days"),
    "predict with errors": lambda m: m.predict(se_fit=True),
    "predict at other parameters": lambda m: m.predict(newparams={"sigma": 1.0}, se_fit=True),
    "hatvalues": lambda m: m.hatvalues(),
    "cooks_distance": lambda m: m.cooks_distance(),
    "rstudent": lambda m: m.rstudent(),
    "influence": lambda m: m.influence("Subject"),
    "vcov of modes": lambda m: m.vcov(full="modes"),
    "vcov of parameters": lambda m: m.vcov(full="parameters"),
    "augment": lambda m: m.augment(),
    "devfun": lambda m: m.getME("devfun"),
    "refit_many": lambda m: m.refit_many(m.simulate(3, seed=1)),
    "bootMer": lambda m: m.bootMer(nsim=3, seed=1),
    "allFit": lambda m: m.allFit(),
}


def sleepstudy(engine="native"):
    return lb.lmer(
        "Reaction ~ Days + (Days | Subject)", lb.datasets.load("sleepstudy"), engine=engine
    )


@pytest.fixture
def frames(monkeypatch):
    """The frames whose cross-products are computed."""
    found = []
    whole = likelihood.cross_products

    def counting(frame):
        found.append(frame)
        return whole(frame)

    for place in ("", ".kept_products"):
        monkeypatch.setattr(f"lmerbridge.likelihood{place}.cross_products", counting)
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("engine", ["native", "statsmodels"])
def test_cross_products_of_a_fit_are_computed_once(frames, monkeypatch, engine):
    """By the native engine's fit itself, or for what is asked first of another's."""
    monkeypatch.setattr("lmerbridge.model.all_fit._available", lambda *_: False)
    m = sleepstudy(engine)
    for what, ask in ASKED.items():
        ask(m)
        assert sum(frame is m.frame for frame in frames) == 1, what


def test_cross_products_end_with_their_frame():
    gc.collect()  # of other tests' fits
    before = len(kept_products._KNOWN)
    m = sleepstudy()
    assert len(kept_products._KNOWN) == before + 1
    assert products_of(m.frame) is m.fit.products
    twin = copy.copy(m.frame)
    assert twin == m.frame
    assert products_of(twin) is not m.fit.products
    del m, twin
    gc.collect()
    assert len(kept_products._KNOWN) == before


def test_degrees_of_freedom_are_computed_once():
    m = sleepstudy()
    assert m.denominator("Satterthwaite") is m.denominator("Sat")
    assert m.denominator("Kenward-Roger") is not m.denominator("Satterthwaite")


def test_what_is_computed_is_of_this_fit():
    """Another result, or another frame, has its own."""
    m = sleepstudy()
    ml = m.refitML()
    m.denominator("Satterthwaite")
    assert ml.denominator("Satterthwaite") is not m.denominator("Satterthwaite")
    other = m.refit(m.frame.y[::-1])
    assert other.fit.products is not m.fit.products
    assert m.fit.with_result(ml.result).products is m.fit.products
    assert m.fit.with_result(ml.result).__dict__.get("_computed") is None


def test_what_was_computed_does_not_travel():
    m = sleepstudy()
    plain = len(pickle.dumps(m))
    m.summary(ddf="Kenward-Roger")
    assert len(pickle.dumps(m)) == plain
    assert pickle.loads(pickle.dumps(m)) == m


def test_a_fit_without_its_data_says_so():
    m = lb.from_json(
        lb.lmer(
            "y ~ 1 + (1 | g)", pd.DataFrame({"y": [1.0, 2, 4, 3, 5, 7], "g": list("aabbcc")})
        ).to_json()
    )
    assert isinstance(m.fit, Fit)
    for ask in (lambda: m.frame, lambda: m.call, lambda: m.update(), lambda: m.fit.products):
        with pytest.raises(lb.DataError, match="read without its data"):
            ask()
    assert m.inputs is None


def test_warnings_point_at_the_users_line():
    """However many lines of the package are between."""
    d = lb.datasets.load("sleepstudy")
    m = lb.lmer("Reaction ~ Days + (Days | Subject)", d, engine="native")
    for ask in (
        lambda: m.update("log(Reaction) ~ I(Days * 1e6) + (1 | Subject)"),
        lambda: m.update(". ~ . + I(Days * 1e6)").refit(m.frame.y + 1.0),
        lambda: m.deviance(),
        lambda: m.anova(m.update(". ~ 1 + (1 | Subject)")),
        lambda: lb.lmer("Reaction ~ I(Days * 1e6) + (1 | Subject)", d, engine="native"),
    ):
        with pytest.warns((lb.FitWarning, FitMessage)) as caught:
            ask()
        assert {w.filename for w in caught} == {__file__}
