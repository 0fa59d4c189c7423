"""The versions of what may move an engine's numbers, which of them changed, and what their NEWS say
of it (``versions.toml``).
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from lmerbridge._version import __version__
from lmerbridge.errors import DataError
from lmerbridge.result import FitResult
from lmerbridge.version_numbers import version_number

__all__ = ["TOUCHES", "Change", "changed_versions", "changes", "changes_between", "versions_of"]

# What a change may move.
TOUCHES = {
    "fit": "the optimum: the criterion, the estimates and what follows from them",
    "convergence": "what is said of the optimum: gradients, checks, warnings",
    "counts": "numbers of parameters, and with them AIC, BIC, degrees of freedom of residuals",
    "df": "degrees of freedom, statistics and p-values of tests",
    "means": "marginal means and contrasts",
    "profile": "profiles and their intervals",
    "confint": "the form of intervals: their order, their names",
    "bootstrap": "simulation and the bootstrap",
    "predict": "predictions and their standard errors",
    "residuals": "residuals, influence and other diagnostics",
    "refit": "fits of the same model to other responses or weights",
    "names": "names of columns, terms and parameters",
    "text": "the form of what is printed",
    "formula": "which formulas and arguments are taken, and what they mean",
    "glmm": "generalized models alone",
}

# packages of R's that come after a fit, and other engines
_NO_PART = ("lmerTest", "pbkrtest", "emmeans", "nlme", "glmmTMB")
_NONE = "none"


def versions_of(result: FitResult) -> dict[str, str]:
    """By name the versions behind a result, with the BLAS, the platform and our own."""
    made = result.provenance
    found = {name: v for name, v in made.versions.items() if name not in _NO_PART}
    if made.package in made.versions:
        found[made.package] = made.versions[made.package]
    found.setdefault("lmerbridge", __version__)
    return {**found, "BLAS": made.blas, "platform": made.platform}


def changed_versions(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Which versions are not the same, in words: ``"numpy 2.3.1 then, 2.4.0 now; scipy the same"``.

    What neither side knows is left out; what one side knows alone is said to be none on the other.
    """
    names = [n for n in dict.fromkeys((*then, *now)) if then.get(n) or now.get(n)]
    moved = [
        f"{n} {then.get(n) or _NONE} then, {now.get(n) or _NONE} now"
        for n in names
        if (then.get(n) or "") != (now.get(n) or "")
    ]
    same = [n for n in names if then.get(n) and then.get(n) == now.get(n)]
    if not moved:
        return f"no version changed ({', '.join(f'{n} {now[n]}' for n in same)})"
    return "; ".join([*moved, *([f"{', '.join(same)} the same"] if same else [])])


@dataclass(frozen=True)
class Change:
    """What a version of R or of one of its packages changed.

    Attributes
    ----------
    package : str
        ``"R"``, or the package's name.
    version : str
        The first that has the change.
    what : str
    touches : tuple of str
        Of :data:`TOUCHES`.
    we : str
        What lmerbridge does about it.
    """

    package: str
    version: str
    what: str
    touches: tuple[str, ...]
    we: str

    def __str__(self) -> str:
        return f"{self.package} {self.version}: {self.what}"


@functools.cache
def changes() -> tuple[Change, ...]:
    """Every change in ``versions.toml``, in its order.

    Raises
    ------
    DataError
        An entry that is not whole; the message says which.
    """
    text = resources.files("lmerbridge.crosscheck").joinpath("versions.toml").read_text("utf-8")
    found = []
    for place, entry in enumerate(tomllib.loads(text)["change"], 1):
        where = f"versions.toml: change {place}"
        if set(entry) != set(Change.__dataclass_fields__):
            raise DataError(f"{where}: it must have {', '.join(Change.__dataclass_fields__)}")
        unknown = [kind for kind in entry["touches"] if kind not in TOUCHES]
        if unknown or not entry["touches"]:
            raise DataError(f"{where}: touches must be some of {', '.join(TOUCHES)}, not {unknown}")
        found.append(Change(**{**entry, "touches": tuple(entry["touches"])}))
    return tuple(found)


def changes_between(package: str, old: str, new: str) -> tuple[Change, ...]:
    """What is known to have changed in a package from one version to another, by version; the order
    of the two does not matter.
    """
    first, last = sorted((version_number(old), version_number(new)))
    between = (
        c for c in changes() if c.package == package and first < version_number(c.version) <= last
    )
    return tuple(sorted(between, key=lambda c: version_number(c.version)))
