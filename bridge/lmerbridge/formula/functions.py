"""The functions that a formula may call, with their parameters in R's order.

A formula can name these and nothing else; their implementations are in
``lmerbridge.design.functions``, which must hold exactly this list (a test sees to it).
"""

from __future__ import annotations

from lmerbridge.covariance import KINDS

__all__ = ["CONTRAST_NAMES", "ELEMENTWISE", "INSTEAD", "PACKAGES", "SIGNATURES", "STRUCTURES"]

# R's functions of a number, value by value.
ELEMENTWISE: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("abs", "sign", "sqrt", "floor", "ceiling", "trunc"), ("x",)),
    **dict.fromkeys(("exp", "expm1", "log1p", "log2", "log10"), ("x",)),
    **dict.fromkeys(("cos", "sin", "tan", "acos", "asin", "atan"), ("x",)),
    **dict.fromkeys(("cosh", "sinh", "tanh", "acosh", "asinh", "atanh"), ("x",)),
    **dict.fromkeys(("cospi", "sinpi", "tanpi"), ("x",)),
    **dict.fromkeys(("log", "logb"), ("x", "base")),
    **dict.fromkeys(("round", "signif"), ("x", "digits")),
    "atan2": ("y", "x"),
    **dict.fromkeys(("gamma", "lgamma", "digamma", "trigamma", "factorial", "lfactorial"), ("x",)),
    **dict.fromkeys(("beta", "lbeta"), ("a", "b")),
    **dict.fromkeys(("choose", "lchoose"), ("n", "k")),
    "pnorm": ("q", "mean", "sd", "lower.tail", "log.p"),
    "qnorm": ("p", "mean", "sd", "lower.tail", "log.p"),
    "dnorm": ("x", "mean", "sd", "log"),
    "plogis": ("q", "location", "scale", "lower.tail", "log.p"),
    "qlogis": ("p", "location", "scale", "lower.tail", "log.p"),
    "dlogis": ("x", "location", "scale", "log"),
}

# "..." takes any number of unnamed arguments.
SIGNATURES: dict[str, tuple[str, ...]] = {
    **ELEMENTWISE,
    "is.na": ("x",),
    "I": ("x",),
    "offset": ("object",),
    "poly": ("x", "...", "degree", "raw"),
    "scale": ("x", "center", "scale"),
    "bs": ("x", "df", "knots", "degree", "intercept", "Boundary.knots"),
    "ns": ("x", "df", "knots", "intercept", "Boundary.knots"),
    "factor": ("x", "levels", "labels", "exclude", "ordered"),
    "ordered": ("x", "levels", "labels"),
    "as.factor": ("x",),
    "as.ordered": ("x",),
    "as.numeric": ("x",),
    "as.integer": ("x",),
    "as.character": ("x",),
    "as.logical": ("x",),
    "relevel": ("x", "ref"),
    "interaction": ("...", "drop", "sep", "lex.order"),
    "cut": ("x", "breaks", "labels", "include.lowest", "right", "dig.lab", "ordered_result"),
    "C": ("object", "contr", "how.many", "base"),
    "dummy": ("f", "levelsToKeep"),
    "contr.treatment": ("n", "base"),
    "contr.sum": ("n",),
    "contr.helmert": ("n",),
    "contr.poly": ("n",),
    "contr.SAS": ("n",),
    "levels": ("x",),
    "ifelse": ("test", "yes", "no"),
    "pmin": ("...",),
    "pmax": ("...",),
    "cbind": ("...",),
    "c": ("...",),
    "mean": ("x",),
    "min": ("...",),
    "max": ("...",),
    "sd": ("x",),
    "median": ("x",),
    "rank": ("x", "na.last", "ties.method"),
}

# What may stand around a random term, as in cs(x | g, hom = TRUE).
STRUCTURES: dict[str, tuple[str, ...]] = dict.fromkeys(KINDS, ("term", "hom"))

# In C(f, sum) and contrasts={"f": "contr.sum"} these stand for contrasts, not for variables.
CONTRAST_NAMES: dict[str, str] = {
    "contr.treatment": "contr.treatment",
    "contr.sum": "contr.sum",
    "contr.helmert": "contr.helmert",
    "contr.poly": "contr.poly",
    "contr.SAS": "contr.SAS",
    "treatment": "contr.treatment",
    "sum": "contr.sum",
    "helmert": "contr.helmert",
    "poly": "contr.poly",
    "SAS": "contr.SAS",
}

# What may stand before "::"; lme4 has dummy().
PACKAGES = ("base", "stats", "splines", "lme4")

# What other languages call something that is here by another name, or by none.
INSTEAD: dict[str, str] = {
    "Q": "write the column's name in backticks, as in `a b`",
    "Treatment": "write C(f, contr.treatment, base = 2), or relevel(f, ref = 'b')",
    "Sum": "write C(f, sum)",
    "Helmert": "write C(f, helmert)",
    "Poly": "write C(f, poly), or poly(x, 2) of a number",
    "Diff": "give the matrix in contrasts=",
    "center": "write scale(x, scale = FALSE)",
    "standardize": "write scale(x)",
    "zscore": "write scale(x)",
    "power": "write I(x^2)",
    "cr": "write ns(x, df = 4)",
    "cc": "write ns(x, df = 4), or sin(2 * pi * x) and cos(2 * pi * x) of a cycle",
    "as.Date": "make a column of dates first: dates are columns here as in R",
    "s": "smooth terms are mgcv's; write ns(x, df = 4)",
    "lag": "make a column of it first",
}
