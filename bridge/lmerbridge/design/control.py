"""Settings of a fit: lme4's ``lmerControl`` with its names, dots as underscores."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec

import numpy as np

from lmerbridge.equality import by_value
from lmerbridge.errors import ArgumentError, as_number, matched, near_match
from lmerbridge.formula.syntax import format_number

__all__ = ["CHECK_ACTIONS", "Control", "glmerControl", "lmerControl", "r_name"]

P = ParamSpec("P")

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
    restart_edge, calc_derivs, use_last_params : bool, optional
        As in lme4; ``None`` leaves its default.
    boundary_tol : float, optional
        As in lme4, in units of theta; ``None`` leaves its default.
    check_nobs_vs_nlev, check_nobs_vs_nRE, check_nlev_gtr_1, check_nlev_gtreq_5 : str
        ``"stop"``, ``"warning"``, ``"message"`` or ``"ignore"``.
    check_rankX : str
        ``"message+drop.cols"``, ``"silent.drop.cols"``, ``"warn+drop.cols"``,
        ``"stop.deficient"``.
    check_scaleX : str
        ``"warning"``, ``"stop"`` or ``"ignore"``.
    given : tuple of (str, value)
        What the user gave, in that order; shown by ``summary()``.
    tolPwrss : float, optional
        Of ``glmer``: the tolerance of lme4's inner iteration.
    nAGQ0initStep : bool, optional
        Of ``glmer``: whether lme4 begins with ``nAGQ = 0``.
    maker : str
        The function that made it: ``lmerControl`` or ``glmerControl``.
    """

    optimizer: str | None = None
    optCtrl: Mapping[str, Any] = field(default_factory=dict)
    restart_edge: bool | None = None
    boundary_tol: float | None = None
    calc_derivs: bool | None = None
    use_last_params: bool | None = None
    tolPwrss: float | None = None
    nAGQ0initStep: bool | None = None
    check_nobs_vs_nlev: str = "stop"
    check_nobs_vs_nRE: str = "stop"
    check_nlev_gtr_1: str = "stop"
    check_nlev_gtreq_5: str = "ignore"
    check_rankX: str = "message+drop.cols"
    check_scaleX: str = "warning"
    given: tuple[tuple[str, Any], ...] = ()
    maker: str = "lmerControl"

    def __str__(self) -> str:
        """The call as R would deparse it."""
        return f"{self.maker}({', '.join(f'{r_name(k)} = {_r_value(v)}' for k, v in self.given)})"

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
            "tolPwrss",
            "nAGQ0initStep",
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
            raise ArgumentError("optCtrl must be a mapping of the optimizer's settings")
        return {str(key): _setting(v, f"{key} in optCtrl") for key, v in value.items()}
    if name == "optimizer":
        if not isinstance(value, str):
            raise ArgumentError(f"optimizer must be the name of one, not {value!r}")
        return value
    if name in ("boundary_tol", "tolPwrss"):
        return as_number(value, name)
    if not isinstance(value, (bool, np.bool_)):
        raise ArgumentError(f"{name} must be True or False, not {value!r}")
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
    unchanged = ("optimizer", "optCtrl", "restart_edge", "tolPwrss", "nAGQ0initStep")
    return name if name in unchanged else name.replace("_", ".")


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


def _recording(declared: Callable[P, Control]) -> Callable[P, Control]:
    """Let the function take only settings that are known and have values that they can have, and
    record which were given, in which order: ``summary()`` shows them, defaults not.
    """
    known = inspect.signature(declared).parameters
    maker = declared.__name__

    @functools.wraps(declared)
    def recorded(*args: P.args, **kwargs: P.kwargs) -> Control:
        settings: dict[str, Any] = {**kwargs}
        for name in settings:
            if name in _SETTINGS_OF_LME4:
                raise ArgumentError(
                    f"{maker}(): lme4's setting {name!r} is not here: {_SETTINGS_OF_LME4[name]}"
                )
            if name not in known:
                raise ArgumentError(
                    f"{maker}() has no setting {name!r}{near_match(name, known)}; "
                    f"it has {', '.join(sorted(known))}"
                )
        given = {
            name: _checked(name, value)
            for name, value in settings.items()
            if value is not None or name.startswith("check_")  # else None leaves lme4's default
        }
        kwargs.clear()
        kwargs.update(given)
        return replace(declared(*args, **kwargs), given=tuple(given.items()), maker=maker)

    return recorded


@_recording
def lmerControl(
    *,
    optimizer: str | None = None,
    optCtrl: Mapping[str, Any] | None = None,
    restart_edge: bool | None = None,
    boundary_tol: float | None = None,
    calc_derivs: bool | None = None,
    use_last_params: bool | None = None,
    check_nobs_vs_nlev: str = "stop",
    check_nobs_vs_nRE: str = "stop",
    check_nlev_gtr_1: str = "stop",
    check_nlev_gtreq_5: str = "ignore",
    check_rankX: str = "message+drop.cols",
    check_scaleX: str = "warning",
) -> Control:
    """Make the settings for ``lmer(..., control=)``, named as in lme4 with ``_`` for ``.``.

    Parameters
    ----------
    optimizer : str, optional
        The optimizer, by the engine's name for it: for engine ``lme4`` nloptwrap, bobyqa,
        Nelder_Mead, nlminbwrap or another that R finds. ``None`` leaves the engine's default.
    optCtrl : mapping, optional
        Settings of the optimizer, passed on as they are: ``{"maxfun": 20000}``.
    restart_edge : bool, optional
        Whether to search again from a fit that ended at a boundary of theta.
    boundary_tol : float, optional
        How near to a boundary, in units of theta, the boundary itself is tried as well; 0 tries
        none.
    calc_derivs : bool, optional
        Whether to compute gradient and Hessian at the optimum.
    use_last_params : bool, optional
        Whether the last values that the optimizer tried are taken, and not the best.
    check_nobs_vs_nlev, check_nobs_vs_nRE, check_nlev_gtr_1, check_nlev_gtreq_5 : str
        What to do where a grouping factor has as many levels as there are rows, a random term as
        many effects as rows, a grouping factor one level, or fewer than five: ``"stop"``,
        ``"warning"``, ``"message"`` or ``"ignore"``.
    check_rankX : str
        What to do with linearly dependent columns of X: ``"message+drop.cols"``,
        ``"silent.drop.cols"``, ``"warn+drop.cols"``, ``"stop.deficient"`` or ``"ignore"``.
    check_scaleX : str
        What to do where standard deviations of predictors are apart by more than a factor of
        1,000: ``"warning"``, ``"stop"`` or ``"ignore"``.

    Returns
    -------
    Control
        A setting of ``None`` leaves the engine's default. The beginning of a word stands for the
        word, where it is the beginning of no other.

    Raises
    ------
    ArgumentError
        A setting is unknown, or is one of lme4's that is not here, and the text says what to do
        instead; or a value is of another kind or none of the words.

    Examples
    --------
    >>> import lmerbridge as lb
    >>> print(lb.lmerControl(optimizer="bobyqa", optCtrl={"maxfun": 20000}))
    lmerControl(optimizer = "bobyqa", optCtrl = list(maxfun = 20000))
    """
    return Control(
        optimizer=optimizer,
        optCtrl=dict(optCtrl or {}),
        restart_edge=restart_edge,
        boundary_tol=boundary_tol,
        calc_derivs=calc_derivs,
        use_last_params=use_last_params,
        check_nobs_vs_nlev=check_nobs_vs_nlev,
        check_nobs_vs_nRE=check_nobs_vs_nRE,
        check_nlev_gtr_1=check_nlev_gtr_1,
        check_nlev_gtreq_5=check_nlev_gtreq_5,
        check_rankX=check_rankX,
        check_scaleX=check_scaleX,
    )


@_recording
def glmerControl(
    *,
    optimizer: str | None = None,
    optCtrl: Mapping[str, Any] | None = None,
    restart_edge: bool | None = None,
    boundary_tol: float | None = None,
    calc_derivs: bool | None = None,
    use_last_params: bool | None = None,
    tolPwrss: float | None = None,
    nAGQ0initStep: bool | None = None,
    check_nobs_vs_nlev: str = "stop",
    check_nobs_vs_nRE: str = "stop",
    check_nlev_gtr_1: str = "stop",
    check_nlev_gtreq_5: str = "ignore",
    check_rankX: str = "message+drop.cols",
    check_scaleX: str = "warning",
) -> Control:
    """Make the settings for ``glmer(..., control=)``, named as in lme4 with ``_`` for ``.``.

    Parameters
    ----------
    optimizer : str, optional
        The optimizer, by lme4's name for it.
    optCtrl : mapping, optional
        Settings of the optimizer, passed on as they are: ``{"maxfun": 20000}``.
    restart_edge, calc_derivs, use_last_params : bool, optional
        As of :func:`lmerbridge.lmerControl`.
    boundary_tol : float, optional
        How near to a boundary, in units of theta, the boundary itself is tried as well.
    tolPwrss : float, optional
        The tolerance of lme4's inner iteration; its default before 2.1, 1e-7, leaves errors of up
        to 1e-3 in the deviance, and 1e-13 removes them.
    nAGQ0initStep : bool, optional
        Whether lme4 begins with ``nAGQ = 0``.
    check_nobs_vs_nlev, check_nobs_vs_nRE, check_nlev_gtr_1, check_nlev_gtreq_5 : str
        What to do where a grouping factor has more levels than there are rows, a random term more
        effects than rows, a grouping factor one level, or fewer than five: ``"stop"``,
        ``"warning"``, ``"message"`` or ``"ignore"``.
    check_rankX, check_scaleX : str
        As of :func:`lmerbridge.lmerControl`.

    Returns
    -------
    Control
        A setting of ``None`` leaves the engine's default.

    Raises
    ------
    ArgumentError
        A setting is unknown, or a value is of another kind or none of the words.

    Examples
    --------
    >>> import lmerbridge as lb
    >>> print(lb.glmerControl(optimizer="bobyqa", tolPwrss=1e-13))
    glmerControl(optimizer = "bobyqa", tolPwrss = 1e-13)
    """
    return Control(
        optimizer=optimizer,
        optCtrl=dict(optCtrl or {}),
        restart_edge=restart_edge,
        boundary_tol=boundary_tol,
        calc_derivs=calc_derivs,
        use_last_params=use_last_params,
        tolPwrss=tolPwrss,
        nAGQ0initStep=nAGQ0initStep,
        check_nobs_vs_nlev=check_nobs_vs_nlev,
        check_nobs_vs_nRE=check_nobs_vs_nRE,
        check_nlev_gtr_1=check_nlev_gtr_1,
        check_nlev_gtreq_5=check_nlev_gtreq_5,
        check_rankX=check_rankX,
        check_scaleX=check_scaleX,
    )
