"""Settings of a fit: lme4's ``lmerControl`` with its names, dots as underscores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from lmerbridge.equality import by_value
from lmerbridge.errors import DataError, as_number, matched, near_match
from lmerbridge.formula.syntax import format_number

__all__ = ["CHECK_ACTIONS", "Control", "lmerControl", "r_name"]

CHECK_ACTIONS = ("ignore", "message", "warning", "stop")


@by_value
@dataclass(frozen=True, eq=False)
class Control:
    """What :func:`lmerControl` returns.

    Attributes
    ----------
    optimizer : str, optional
        The optimizer, by the engine's name for it; ``None`` leaves the engine's default.
    optCtrl : mapping
        Settings of the optimizer, passed on as they are.
    restart_edge, boundary_tol, calc_derivs, use_last_params
        As in lme4; ``None`` leaves its default.
    check_nobs_vs_nlev, check_nobs_vs_nRE, check_nlev_gtr_1, check_nlev_gtreq_5 : str
        ``"stop"``, ``"warning"``, ``"message"`` or ``"ignore"``.
    check_rankX : str
        ``"message+drop.cols"``, ``"silent.drop.cols"``, ``"warn+drop.cols"``,
        ``"stop.deficient"``.
    check_scaleX : str
        ``"warning"``, ``"stop"`` or ``"ignore"``.
    given : tuple of (str, value)
        What the user gave, in that order; shown by ``summary()``.
    """

    optimizer: str | None = None
    optCtrl: Mapping[str, Any] = field(default_factory=dict)
    restart_edge: bool | None = None
    boundary_tol: float | None = None
    calc_derivs: bool | None = None
    use_last_params: bool | None = None
    check_nobs_vs_nlev: str = "stop"
    check_nobs_vs_nRE: str = "stop"
    check_nlev_gtr_1: str = "stop"
    check_nlev_gtreq_5: str = "ignore"
    check_rankX: str = "message+drop.cols"
    check_scaleX: str = "warning"
    given: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        """The call as R would deparse it."""
        return f"lmerControl({', '.join(f'{r_name(k)} = {_r_value(v)}' for k, v in self.given)})"

    @property
    def engine_settings(self) -> dict[str, Any]:
        """The settings that only an engine can obey, as far as the user gave them."""
        names = (
            "optimizer",
            "optCtrl",
            "restart_edge",
            "boundary_tol",
            "calc_derivs",
            "use_last_params",
        )
        return {name: value for name, value in self.given if name in names}


_RANK_ACTIONS = (
    "message+drop.cols",
    "silent.drop.cols",
    "warn+drop.cols",
    "stop.deficient",
    "ignore",
)
# lme4's rescaling is not done: it warns so itself, and gives coefficients of NA
_SCALE_ACTIONS = ("warning", "stop", "ignore")
_SETTINGS_OF_LME4 = {
    "sparseX": "lme4 ignores it",
    "standardize_X": "lme4 has not done it; scale the predictors in the formula, as in scale(x)",
    "check_nobs_vs_rankZ": "use check_nobs_vs_nRE and check_nobs_vs_nlev",
    "check_formula_LHS": "a formula has one response here",
    "autoscale": "lme4 2.1 gives coefficients of the scaled column with it where there is one "
    "predictor; write scale(x) in the formula, or take engine='native', which scales all columns "
    "itself and answers in their own units",
    "check_conv_nobsmax": "the messages about convergence are in m.result.evidence",
    "check_conv_nparmax": "the messages about convergence are in m.result.evidence",
    "check_conv_grad": "the messages about convergence are in m.result.evidence",
    "check_conv_singular": "whether the fit is singular is m.isSingular()",
    "check_conv_hess": "the messages about convergence are in m.result.evidence",
    "mod_type": "this is a linear mixed model",
}


def _checked(name: str, value: Any) -> Any:
    """The value of a setting; of the words of a check, as much as tells them apart.

    R takes the beginning of a word for ``check.rankX`` and ``check.scaleX`` alone.
    """
    if name == "check_rankX":
        return matched(value, _RANK_ACTIONS, name)
    if name == "check_scaleX":
        return matched(value, _SCALE_ACTIONS, name)
    if name.startswith("check_"):
        return matched(value, CHECK_ACTIONS, name)
    if name == "optCtrl":
        if not isinstance(value, Mapping):
            raise DataError("optCtrl must be a mapping of the optimizer's settings")
        return {str(key): _setting(v, f"{key} in optCtrl") for key, v in value.items()}
    if name == "optimizer":
        if not isinstance(value, str):
            raise DataError(f"optimizer must be the name of one, not {value!r}")
        return value
    if name == "boundary_tol":
        return as_number(value, name)
    if not isinstance(value, (bool, np.bool_)):
        raise DataError(f"{name} must be True or False, not {value!r}")
    return bool(value)


def _setting(value: Any, what: str) -> Any:
    """A setting of an optimizer: a truth value, a text, a number, or several numbers."""
    if isinstance(value, (bool, str)):
        return value
    if isinstance(value, (list, tuple, np.ndarray)):
        return tuple(as_number(v, f"a value of {what}") for v in value)
    as_number(value, what)
    return value


def r_name(name: str) -> str:
    """What lme4 calls a setting; some of its names have underscores themselves."""
    return name if name in ("optimizer", "optCtrl", "restart_edge") else name.replace("_", ".")


def _r_value(value: Any) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple) and len(value) == 1:
        return _r_value(value[0])
    if isinstance(value, tuple):
        return f"c({', '.join(map(_r_value, value))})"
    if isinstance(value, Mapping):
        return f"list({', '.join(f'{k} = {_r_value(v)}' for k, v in value.items())})"
    return format_number(float(value))


def lmerControl(**settings: Any) -> Control:
    """Settings for ``lmer(..., control=)``, named as in lme4 with ``_`` for ``.``.

    Raises
    ------
    DataError
        An unknown setting, or a value that it cannot have.
    """
    known = {f.name for f in fields(Control)} - {"given"}
    for name in settings:
        if name in known:
            continue
        if name in _SETTINGS_OF_LME4:
            raise DataError(
                f"lmerControl(): lme4's setting {name!r} is not here: {_SETTINGS_OF_LME4[name]}"
            )
        raise DataError(
            f"lmerControl() has no setting {name!r}{near_match(name, known)}; "
            f"it has {', '.join(sorted(known))}"
        )
    given = {
        name: _checked(name, value)
        for name, value in settings.items()
        if value is not None or name.startswith("check_")  # else None leaves lme4's default
    }
    return Control(**given, given=tuple(given.items()))
