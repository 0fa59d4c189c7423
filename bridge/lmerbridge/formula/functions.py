"""The functions that a formula may call, with their parameters in R's order.

A formula can name these and nothing else; their implementations are in
``lmerbridge.design.functions``, which must hold exactly this list (a test sees to it).
"""

from __future__ import annotations

__all__ = ["CONTRAST_NAMES", "SIGNATURES"]

# "..." takes any number of unnamed arguments.
SIGNATURES: dict[str, tuple[str, ...]] = {
    "sqrt": ("x",),
    "log": ("x", "base"),
    "log2": ("x",),
    "log10": ("x",),
    "log1p": ("x",),
    "exp": ("x",),
    "expm1": ("x",),
    "abs": ("x",),
    "sin": ("x",),
    "cos": ("x",),
    "tan": ("x",),
    "tanh": ("x",),
    "atan": ("x",),
    "sign": ("x",),
    "floor": ("x",),
    "ceiling": ("x",),
    "trunc": ("x",),
    "round": ("x", "digits"),
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
}

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
