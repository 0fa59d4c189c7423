"""What marginal means do unless told otherwise: R's ``emm_options``."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from lmerbridge.equality import by_value
from lmerbridge.errors import ArgumentError, DataError, near_match

__all__ = ["LIMIT", "EmmOptions", "emm_options", "get_emm_options"]

LIMIT = (
    "Note: D.f. calculations have been disabled because the number of observations exceeds "
    "{limit}.\nTo enable adjustments, add the argument '{name} = {rows}' (or larger)\n"
    "[or, globally, 'set emm_options({name} = {rows})' or larger];\n"
    "but be warned that this may result in large computation time and memory use."
)


@by_value
@dataclass(frozen=True, eq=False)
class EmmOptions:
    """
    Attributes
    ----------
    lmer_df : str
        Degrees of freedom: ``kenward-roger``, ``satterthwaite`` or ``asymptotic``.
    pbkrtest_limit, lmerTest_limit : int
        Up to how many rows of data Kenward-Roger's and Satterthwaite's are computed.
    rg_limit : int
        Greatest number of rows of a reference grid.
    cov_keep : str, int or a sequence of them
        Covariates whose values are levels: by name, or all with at most so many.
    """

    lmer_df: str = "kenward-roger"
    pbkrtest_limit: int = 3000
    lmerTest_limit: int = 3000
    rg_limit: int = 10_000
    cov_keep: Any = "2"


_current = EmmOptions()


def get_emm_options() -> EmmOptions:
    """The options in force."""
    return _current


def emm_options(**changes: Any) -> EmmOptions:
    """Change the defaults of ``m.emmeans()``, ``m.emtrends()`` and ``m.ref_grid()`` for this
    Python session.

    Parameters
    ----------
    **changes
        Attributes of :class:`EmmOptions`; ``None`` restores a default. Without any nothing changes.

    Returns
    -------
    EmmOptions
        The options as they were before: ``emm_options(**vars(before))`` restores them.

    Raises
    ------
    DataError
        An unknown option, or a limit that is no number.
    """
    global _current  # a default of the session, as in R
    before = _current
    defaults = EmmOptions()
    known = [field.name for field in fields(EmmOptions)]
    checked = {}
    for name, value in changes.items():
        if name not in known:
            raise DataError(
                f"no option {name!r}{near_match(name, known)}; there are {', '.join(known)}"
            )
        value = getattr(defaults, name) if value is None else value
        if name.endswith("limit") and (
            isinstance(value, bool) or not isinstance(value, (int, float))
        ):
            raise ArgumentError(f"{name} must be a number, not {value!r}")
        checked[name] = value
    _current = replace(before, **checked)
    return before
