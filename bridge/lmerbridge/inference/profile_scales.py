"""Likelihood profiles on other scales: variances, covariances, logarithms.

Zeta does not depend on how a parameter is written, and neither do the ends of intervals: they are
transformed as the parameter is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from lmerbridge.equality import by_value
from lmerbridge.errors import DataError
from lmerbridge.inference.parameters import Parameter
from lmerbridge.inference.profile import Profile, ProfilePoint

__all__ = ["log_scale", "long_names", "varcov_scale", "variance_scale"]


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


def _root(x: float) -> float:
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
        scales.append(_Scale(new, _square, _root))
    return _rescaled(profile, scales)


def log_scale(profile: Profile, base: float = math.e, ranef: bool = True) -> Profile:
    """Logarithms of standard deviations."""
    if not (base > 0 and base != 1 and math.isfinite(base)):
        raise DataError(f"base must be positive and not 1, not {base}")
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
            scales.append(_Scale(replace(p, kind="sigma2"), _square, _root))
        elif p.kind == "sd":
            long_name = p.long_name.replace("sd_", "var_", 1)
            new = _named(p, p.name, long_name, "var")
            scales.append(_Scale(new, _square, _root))
        else:
            scales.append(_Scale(p, _same, _same))
    return _rescaled(profile, scales)


def long_names(profile: Profile) -> Profile:
    """The profile with its parameters' long names, ``sd_Days|Subject``."""
    scales = [_Scale(replace(p, name=p.long_name), _same, _same) for p in profile.every]
    return _rescaled(profile, scales)
