"""Models whose names, levels, formulas and values were made to break things.

Each ``try_*`` makes one case from a source of choices and says what came of it: ``"fitted"`` or
``"refused"``; anything else is an ``AssertionError`` or the exception that should not be.
"""

from __future__ import annotations

import os
import random
import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import lmerbridge as lb
from lmerbridge.errors import LmerBridgeError

CANARY = "canary-of-lmerbridge"
CODE = (
    f'system("touch {CANARY}")',
    f'`system`("touch {CANARY}")',
    f'file.create("{CANARY}")',
    f'base::file.create("{CANARY}")',
    f'eval(parse(text = "file.create(\\"{CANARY}\\")"))',
    f'(function() file.create("{CANARY}"))()',
    f"__import__('os').system('touch {CANARY}')",
    f"$(touch {CANARY})",
    f"`touch {CANARY}`",
    "quit()",
    "q('no')",
    "stop('x')",
    "NULL",
    "NA",
    "TRUE",
    "if",
    "function",
    "...",
    "..1",
    ".data",
    "(Intercept)",
    "(weights)",
    "I",
    "c",
    "log",
    "T",
)
PIECES = (
    "a", "b", "Z", "9", ".", "_", " ", "\t", "\n", "\r\n", "'", '"', "`", "\\", "\\n", "%", "%s",
    "{}", "{0}", "$", "#", ";", ",", "(", ")", "[", "]", "|", "||", "/", ":", "*", "+", "-", "~",
    "^", "@", "<-", "->", "=", "!", "&", "?", "\u00e9", "e\u0301", "\u212b", "\u00c5",
    "\u1e9b\u0323", "\ufb01", "\u0131", "\u0130", "\U0001f642",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u202e", "\ufeff", "\u00a0", "\u2028", "\x01",
    "\x7f", "\u4e2d\u6587", "\u0627\u0644", "\u0085",
)  # fmt: skip
ENGINES = ("native", "statsmodels", "lme4")


def text(chance: random.Random, most: int = 6) -> str:
    if chance.random() < 0.25:
        return chance.choice(CODE)
    return "".join(chance.choice(PIECES) for _ in range(chance.randint(1, most)))


def different(chance: random.Random, count: int) -> list[str]:
    """Texts that differ, if only in their normal form."""
    found: dict[str, None] = {}
    while len(found) < count:
        new = text(chance)
        found[new] = None
        if len(found) < count:
            found[unicodedata.normalize(chance.choice(["NFC", "NFD", "NFKC"]), new)] = None
    return list(found)


def quoted(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def no_code_ran() -> None:
    assert not Path(CANARY).exists(), "code in a text was run"


def data(chance: random.Random) -> pd.DataFrame:
    rng = np.random.default_rng(chance.randrange(2**32))
    g, f = np.repeat(np.arange(8), 6), rng.integers(0, 3, 48)
    f[:3] = [0, 1, 2]
    x = rng.normal(size=48)
    y = x + f + rng.normal(size=8)[g] * 2 + rng.normal(size=48)
    return pd.DataFrame({"y": y, "x": x, "f": f, "g": g})


def try_names(chance: random.Random, engines: tuple[str, ...] = ENGINES) -> str:
    """Names and levels of any kind change no number, and come back as they went."""
    plain = data(chance)
    levels = {"f": different(chance, 3), "g": different(chance, 8)}
    # "." is every other column, in R too, quoted or not
    texts_of_names = [n for n in different(chance, 6) if n != "."][:4]
    names = dict(zip(plain.columns, texts_of_names, strict=True))
    simple = plain.copy()
    for label, texts in levels.items():
        simple[label] = pd.Categorical.from_codes(
            plain[label], [f"L{i}" for i in range(len(texts))]
        )
        plain[label] = pd.Categorical.from_codes(plain[label], texts)
    hostile = plain.rename(columns=names)
    copy = hostile.copy(deep=True)
    formula = "{y} ~ {x} + {f} + (1 | {g})"
    for engine in engines:
        want = lb.lmer(formula.format(y="y", x="x", f="f", g="g"), simple, engine=engine)
        m = lb.lmer(
            formula.format(**{k: quoted(v) for k, v in names.items()}), hostile, engine=engine
        )
        np.testing.assert_allclose(m.fixef(), want.fixef(), rtol=1e-6, err_msg=engine)
        theta, wanted = m.result.estimates.theta, want.result.estimates.theta
        np.testing.assert_allclose(theta, wanted, rtol=1e-4, atol=1e-5, err_msg=engine)
        np.testing.assert_allclose(
            m.result.estimates.fitted, want.result.estimates.fitted, rtol=1e-5, atol=1e-7
        )
        term = m.result.estimates.random[0]
        assert m.ranef().grp.tolist() == levels["g"], engine
        assert len(m.result.estimates.names) == 4
        assert term.names == ("(Intercept)",)
        str(m.summary())
        assert lb.from_json(m.to_json()).result.estimates.names == m.result.estimates.names
        no_code_ran()
    pd.testing.assert_frame_equal(hostile, copy)
    return "fitted"


WORDS = (
    "y", "x", "f", "g", "1", "0", "-1", "2.5", "1e400", "TRUE", "NULL", "NA", "~", "+", "-", "*",
    "/", ":", "^", "|", "||", "(", ")", "(1 | g)", "(x | g)", "(0 + x | g)", "(1 | f)",
    "+ (1 | g)", "y ~ x", "y ~", "log(", "I(", "factor(", "poly(x, 2)", "C(f, contr.sum)",
    "offset(x)", "scale(x)", "%in%", "==", ">", "&&", "!", ",", "=", "`", "'", '"', "\\", ".",
    "..", " ", "\n", "#", "::", "$", "[", "{", "lmer", "exp(", "ns(x, 2)", "cut(x, 3)",
)  # fmt: skip


TERMS = (
    "x", "f", "x:f", "f * x", "I(x^2)", "poly(x, 2)", "scale(x)", "offset(x)", "0", "-1",
    "log(exp(x))", "C(f, contr.sum)", "factor(f)", "ifelse(x > 0, 1, 0)", "cut(x, 3)", "abs(x)",
    "(x + f)^2", "f %in% x", "(1 | g)", "(x | g)", "(x || g)", "(0 + x | g)", "(1 | f:g)",
    "(1 | f/g)", "ns(x, 3)", "x > 0", ".",
)  # fmt: skip


def _formula(chance: random.Random) -> str:
    """Half of them made of terms, and often broken in one place; half of anything."""
    if chance.random() < 0.6:
        terms = [*chance.sample(TERMS, chance.randint(0, 3)), "(1 | g)"]
        formula = "y ~ " + chance.choice([" + ", "+", " +\n  "]).join(terms)
        if chance.random() < 0.4:
            at, new = chance.randrange(len(formula)), chance.choice([*WORDS, *PIECES, text(chance)])
            formula = formula[:at] + new + formula[at + chance.randint(0, 2) :]
        return formula
    parts = [chance.choice([*WORDS, text(chance)]) for _ in range(chance.randint(1, 7))]
    formula = chance.choice(["", "y ~ ", "y ~ x + "]) + chance.choice(["", " ", " + "]).join(parts)
    return formula + chance.choice(["", " + (1 | g)", " + (1 | g)"])


def try_formula(chance: random.Random, engines: tuple[str, ...] = ENGINES) -> str:
    """A formula of any kind is fitted, the same by every engine that fits it, or refused."""
    formula = _formula(chance)
    d = data(chance).assign(f=lambda d: d.f.astype(str), g=lambda d: d.g.astype(str))
    found = {}
    for engine in engines:
        try:
            m = lb.lmer(formula, d, engine=engine)
        except LmerBridgeError:
            pass
        else:
            assert np.isfinite(m.result.criterion.value)
            found[engine] = m
        no_code_ran()
    if {"native", "lme4"} <= set(found):
        ours, theirs = found["native"].result, found["lme4"].result
        assert ours.estimates.names == theirs.estimates.names, formula
        # ours is at least as good; what lme4 has stopped short of is the harness's to explain
        assert ours.criterion.value <= theirs.criterion.value + 1e-3, formula
    return "fitted" if found else "refused"


NUMBERS = (
    0.0, -0.0, 1.0, -1.0, 1e-300, 5e-324, 1e300, 1.7e308, 1e16, 2.0**31, 2.0**53, np.nan, np.inf,
    -np.inf,
)  # fmt: skip


def try_values(chance: random.Random, engines: tuple[str, ...] = ENGINES) -> str:
    """Values of any kind are fitted or refused, and stay as they were."""
    d = data(chance)
    column = chance.choice(["y", "x", "g", "f"])
    values = d[column].astype(object if chance.random() < 0.5 else float)
    for _ in range(chance.choice([1, 3, 20, 48])):
        where = chance.randrange(48)
        values.iloc[where] = chance.choice(NUMBERS)
        if values.dtype == object and chance.random() < 0.3:
            values.iloc[where] = chance.choice(
                [None, "x", text(chance), True, 10**30, b"b", (1, 2)]
            )
    d[column] = values
    copy = d.copy(deep=True)
    fitted = False
    for engine in engines:
        try:
            m = lb.lmer("y ~ x + (1 | g)", d, engine=engine)
        except LmerBridgeError:
            pass
        else:
            assert np.isfinite(m.result.estimates.fitted).all()
            fitted = True
        no_code_ran()
    pd.testing.assert_frame_equal(d, copy)
    return "fitted" if fitted else "refused"


KINDS = {"names": try_names, "formulas": try_formula, "values": try_values}


def attempt(kind: str, seed: int, engines: tuple[str, ...] = ENGINES) -> str:
    """One case; the same seed makes the same."""
    chance = random.Random(f"{kind} {seed}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with np.errstate(all="ignore"):
            return KINDS[kind](chance, engines)


def clear_canary() -> None:
    if Path(CANARY).exists():
        os.unlink(CANARY)
