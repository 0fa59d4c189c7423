"""Settings of a fit: lme4's ``lmerControl`` with its names, dots as underscores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from lmerbridge.errors import DataError, near_match
from lmerbridge.formula.syntax import format_number

__all__ = ["CHECK_ACTIONS", "Control", "lmerControl"]

CHECK_ACTIONS = ("ignore", "message", "warning", "stop")


@dataclass(frozen=True)
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
        ``"warning"``, ``"stop"``, ``"message"`` or ``"ignore"``.
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
        return f"lmerControl({', '.join(f'{_r_name(k)} = {_r_value(v)}' for k, v in self.given)})"

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


def _r_name(name: str) -> str:
    return name if name in ("optimizer", "optCtrl") else name.replace("_", ".")


def _r_value(value: Any) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str):
        return f'"{value}"'
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
    for name, value in settings.items():
        if name not in known:
            raise DataError(
                f"lmerControl() has no setting {name!r}{near_match(name, known)}; "
                f"it has {', '.join(sorted(known))}"
            )
        if name.startswith("check_"):
            allowed = _RANK_ACTIONS if name == "check_rankX" else CHECK_ACTIONS
            if value not in allowed:
                raise DataError(
                    f"{name} must be one of {', '.join(map(repr, allowed))}, not {value!r}"
                )
        if name == "optCtrl" and not isinstance(value, Mapping):
            raise DataError("optCtrl must be a mapping of the optimizer's settings")
    return Control(**settings, given=tuple(settings.items()))
