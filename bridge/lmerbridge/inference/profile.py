"""Likelihood profiles as values: their intervals, and their other scales (variances, covariances,
logarithms).

Zeta does not depend on how a parameter is written, and neither do the ends of intervals: they are
transformed as the parameter is. :mod:`lmerbridge.inference.profiling` computes profiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.arguments import check_level, checked
from lmerbridge.equality import by_value
from lmerbridge.errors import ArgumentError, DataError, FitFailedError, near_match
from lmerbridge.inference.levels import percent_labels
from lmerbridge.inference.parameters import Parameter, select
from lmerbridge.shown import shown, titled_table

__all__ = [
    "FAILURES",
    "Profile",
    "ProfilePoint",
    "log_scale",
    "long_names",
    "varcov_scale",
    "variance_scale",
]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

# how a minimization can fail: one must not end the profiles of the others
FAILURES = (FitFailedError, ArithmeticError, ValueError)
ZETA_TOLERANCE = 1e-8  # of zeta, where an end of an interval is looked for


@by_value
@dataclass(frozen=True, eq=False)
class ProfilePoint:
    """The parameter's value, zeta there, and all parameters (lme4's order) at that point."""

    value: float
    zeta: float
    all: Array


@checked
@by_value
@dataclass(frozen=True, eq=False)
@shown
class Profile:
    """Profiles of several parameters.

    Attributes
    ----------
    every : tuple of Parameter
    estimates : array
        At the ML optimum.
    deviance : float
        There.
    points : mapping of str to tuple of ProfilePoint
        By name, ascending in value.
    point : callable
        From a parameter's name and a value to the point there.
    broken : set of (str, int)
        Parameters and directions (-1, 1) in which the deviance could not be minimized.
    ends : callable, optional
        The interval of a parameter at a level, where it is known on another scale.
    """

    every: tuple[Parameter, ...]
    estimates: Array
    deviance: float
    points: dict[str, tuple[ProfilePoint, ...]]
    point: Callable[[str, float], ProfilePoint] = field(compare=False)
    broken: frozenset[tuple[str, int]] = frozenset()
    ends: Callable[[str, float], tuple[float, float]] | None = field(default=None, compare=False)

    def __str__(self) -> str:
        known = {p.name: (p.long_name, i) for i, p in enumerate(self.every)}
        rows = [
            (known[name][0], self.estimates[known[name][1]], points[0].value, points[-1].value)
            for name, points in self.points.items()
        ]
        columns = ["parameter", "estimate", "from", "to"]
        count = sum(map(len, self.points.values()))
        return titled_table(
            f"Likelihood profile: {len(rows)} parameters at {count} points, ML deviance "
            f"{self.deviance:.4f}\n(table(), confint(); lb.plots.profile_zeta())",
            pd.DataFrame(rows, index=list(self.points), columns=columns),
        )

    def table(self) -> pd.DataFrame:
        """lme4's table: ``.zeta``, every parameter, ``.par`` and ``.focal``."""
        names = [p.name for p in self.every]
        parts = []
        for name, points in self.points.items():
            part = pd.DataFrame([p.all for p in points], columns=names)
            part.insert(0, ".zeta", [p.zeta for p in points])
            part[".par"] = name
            part[".focal"] = [p.value for p in points]
            parts.append(part)
        return pd.concat(parts, ignore_index=True)

    def interval(self, name: str, level: float = 0.95) -> tuple[float, float]:
        """Where zeta is plus and minus the normal quantile; a bound of the parameter where the
        profile ends before, and NaN where it could not be computed.

        Raises
        ------
        DataError
            A parameter that was not profiled, or a level outside (0, 1).
        """
        from scipy.special import ndtri

        if name not in self.points:
            raise DataError(
                f"{name!r} has no profile{near_match(name, self.points)}; there are those of "
                f"{', '.join(self.points)}"
            )
        check_level(level)
        if self.ends is not None:
            return self.ends(name, level)
        parameter = next(p for p in self.every if p.name == name)
        cutoff = float(ndtri(0.5 + level / 2))
        low, high = parameter.bounds
        return (
            self._end(parameter, -1, cutoff, low),
            self._end(parameter, 1, cutoff, high),
        )

    def _end(self, p: Parameter, sign: int, cutoff: float, bound: float) -> float:
        points = list(self.points[p.name])
        zeta = np.array([point.zeta for point in points])
        target = sign * cutoff
        if np.max(sign * zeta) < cutoff:
            # a fixed effect has no bound: its profile was not taken far enough
            return math.nan if p.kind == "beta" or (p.name, sign) in self.broken else bound
        order = np.argsort(zeta)
        i = int(np.searchsorted(zeta[order], target))
        left, right = points[order[max(i - 1, 0)]], points[order[min(i, len(points) - 1)]]
        try:
            return _root(lambda x: self.point(p.name, x).zeta, left, right, target)
        except FAILURES:
            return math.nan

    def confint(self, level: float = 0.95, parm: Any = None) -> pd.DataFrame:
        """Give intervals, a row for each parameter that was profiled, as R's ``confint`` of a
        profile.

        Parameters
        ----------
        level : float
            Of the intervals, between 0 and 1.
        parm : str, int or sequence, optional
            As of :func:`lmerbridge.inference.parameters.select`.
        """
        check_level(level)
        names = [p.name for p in select(self.every, parm) if p.name in self.points]
        bounds = [self.interval(name, level) for name in names]
        return pd.DataFrame(bounds, index=names, columns=list(percent_labels(level)), dtype=float)

    def varianceProf(self, ranef: bool = True) -> Profile:
        """The profile on the scale of variances: zeta as it is, standard deviations squared,
        ``.sigsq01`` and ``.sigmasq`` as lme4 names them. Correlations stay what they are.

        Parameters
        ----------
        ranef : bool
            Whether the random effects' standard deviations too, or the residual's alone.
        """
        return variance_scale(self, ranef)

    def logProf(self, base: float = math.e, ranef: bool = True) -> Profile:
        """The profile on the scale of logarithms of standard deviations, ``.lsig01`` and
        ``.lsigma`` as lme4 names them. Correlations stay what they are.

        Parameters
        ----------
        base : float
        ranef : bool
            As of :meth:`varianceProf`.
        """
        return log_scale(self, base, ranef)


def _root(
    zeta: Callable[[float], float], left: ProfilePoint, right: ProfilePoint, target: float
) -> float:
    """Regula falsi with Illinois' halving: zeta is nearly straight, so few steps are needed."""
    a, b = left.value, right.value
    fa, fb = left.zeta - target, right.zeta - target
    if abs(fa) < ZETA_TOLERANCE:
        return a
    if abs(fb) < ZETA_TOLERANCE:
        return b
    x, side = a, 0
    for _ in range(60):
        x = (a * fb - b * fa) / (fb - fa)
        f = zeta(x) - target
        if abs(f) < ZETA_TOLERANCE or abs(b - a) < 1e-12 * max(1.0, abs(x)):
            return x
        if f * fb > 0:
            b, fb = x, f
            fa = fa / 2 if side == -1 else fa
            side = -1
        else:
            a, fa = x, f
            fb = fb / 2 if side == 1 else fb
            side = 1
    return x


@by_value
@dataclass(frozen=True, eq=False)
class _Scale:
    """One parameter on another scale: how it is called there, and the way there and back."""

    parameter: Parameter
    to: Callable[[float], float]
    back: Callable[[float], float]


def _same(x: float) -> float:
    return x


def _square(x: float) -> float:
    return x * x


def _square_root(x: float) -> float:
    return math.sqrt(max(0.0, x))


@dataclass(frozen=True, eq=False)
class _Moved:
    """A profile and the scale of each of its parameters, by the parameters' names there."""

    profile: Profile
    scales: Mapping[str, _Scale]

    def _old(self, name: str) -> str:
        return next(old for old, s in self.scales.items() if s.parameter.name == name)

    def moved(self, old: str, point: ProfilePoint) -> ProfilePoint:
        values = [s.to(float(v)) for s, v in zip(self.scales.values(), point.all, strict=True)]
        return ProfilePoint(self.scales[old].to(point.value), point.zeta, np.array(values))

    def point(self, name: str, value: float) -> ProfilePoint:
        old = self._old(name)
        return self.moved(old, self.profile.point(old, self.scales[old].back(value)))

    def ends(self, name: str, level: float) -> tuple[float, float]:
        old = self._old(name)
        low, high = self.profile.interval(old, level)
        return self.scales[old].to(low), self.scales[old].to(high)


def _logarithm(unit: float, x: float) -> float:
    return math.log(x) / unit if not x <= 0 else -math.inf


def _power(unit: float, x: float) -> float:
    return math.exp(x * unit)


def _rescaled(profile: Profile, scales: list[_Scale]) -> Profile:
    """The profile with each parameter on its scale."""
    of_name = dict(zip([p.name for p in profile.every], scales, strict=True))
    there = _Moved(profile, of_name)
    points = {}
    for name, found in profile.points.items():
        moved = (there.moved(name, point) for point in found)
        points[of_name[name].parameter.name] = tuple(p for p in moved if math.isfinite(p.value))
    return Profile(
        tuple(s.parameter for s in scales),
        np.array([s.to(float(v)) for s, v in zip(scales, profile.estimates, strict=True)]),
        profile.deviance,
        points,
        there.point,
        frozenset((of_name[name].parameter.name, sign) for name, sign in profile.broken),
        there.ends,
    )


def _named(p: Parameter, name: str, long_name: str, kind: str) -> Parameter:
    """A parameter on another scale, called by its long name where the profile does so."""
    short = name if p.name.startswith(".") else long_name
    return replace(p, name=short, long_name=long_name, kind=kind)


def variance_scale(profile: Profile, ranef: bool = True) -> Profile:
    """Standard deviations squared."""
    scales = []
    for p in profile.every:
        if p.kind == "sigma":
            new = _named(p, ".sigmasq", "sigma^2", "sigma2")
        elif p.kind == "sd" and ranef:
            long_name = p.long_name.replace("sd_", "var_", 1)
            new = _named(p, p.name.replace(".sig", ".sigsq"), long_name, "var")
        else:
            scales.append(_Scale(p, _same, _same))
            continue
        scales.append(_Scale(new, _square, _square_root))
    return _rescaled(profile, scales)


def log_scale(profile: Profile, base: float = math.e, ranef: bool = True) -> Profile:
    """Logarithms of standard deviations."""
    if not (base > 0 and base != 1 and math.isfinite(base)):
        raise ArgumentError(f"base must be positive and not 1, not {base}")
    unit = math.log(base)
    logarithm, power = partial(_logarithm, unit), partial(_power, unit)
    scales = []
    for p in profile.every:
        if p.kind == "sigma" or (p.kind == "sd" and ranef):
            short = p.name.replace(".sig", ".lsig")
            new = _named(p, short, f"log({p.long_name})", "log")
            scales.append(_Scale(new, logarithm, power))
        else:
            scales.append(_Scale(p, _same, _same))
    return _rescaled(profile, scales)


def varcov_scale(profile: Profile) -> Profile:
    """Of a profile with covariances: variances too, under the names of lme4's
    ``profile(prof.scale = "varcov")``.
    """
    scales = []
    for p in profile.every:
        if p.kind == "sigma":
            scales.append(_Scale(replace(p, kind="sigma2"), _square, _square_root))
        elif p.kind == "sd":
            long_name = p.long_name.replace("sd_", "var_", 1)
            new = _named(p, p.name, long_name, "var")
            scales.append(_Scale(new, _square, _square_root))
        else:
            scales.append(_Scale(p, _same, _same))
    return _rescaled(profile, scales)


def long_names(profile: Profile) -> Profile:
    """The profile with its parameters' long names, ``sd_Days|Subject``."""
    scales = [_Scale(replace(p, name=p.long_name), _same, _same) for p in profile.every]
    return _rescaled(profile, scales)
