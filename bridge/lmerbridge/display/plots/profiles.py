"""Likelihood profiles as pictures: zeta by parameter, and pairs of parameters."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lmerbridge.display.plots.canvas import AxesArray, drawing, grid_of_axes
from lmerbridge.errors import DataError
from lmerbridge.inference.profile import Profile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

__all__ = ["profile_pairs", "profile_zeta"]

LEVELS = (0.5, 0.8, 0.9, 0.95, 0.99)


def _profile(m: Any) -> Profile:
    return m if isinstance(m, Profile) else m.profile()


def _curve(profile: Profile, name: str) -> tuple[Any, Any]:
    points = profile.points[name]
    return np.array([p.value for p in points]), np.array([p.zeta for p in points])


def _smooth(x: Any, y: Any) -> Any:
    """A curve through the points that are known, missing beyond them: where a standard deviation
    is 0 its correlations are not. Points that go back are left out, as where zeta is not monotonic.
    """
    from scipy.interpolate import PchipInterpolator

    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    keep = np.append(True, x[1:] > np.maximum.accumulate(x)[:-1]) if len(x) else x > 0
    if keep.sum() < 2:
        return lambda at: np.full(np.shape(at), np.nan)
    return PchipInterpolator(x[keep], y[keep], extrapolate=False)


@drawing
def profile_zeta(m: Any, levels: Sequence[float] = LEVELS) -> AxesArray:
    """Draw zeta against each parameter, with the intervals of ``levels``; a straight line is a
    normal likelihood.

    Parameters
    ----------
    m : Model or Profile
        A model is profiled first.
    levels : sequence of float
        Of the intervals, between 0 and 1.

    Returns
    -------
    array of Axes (parameters,)

    References
    ----------
    Bates & Watts (1988), Nonlinear Regression Analysis and Its Applications, section 6.1.
    """
    from scipy.special import ndtri

    profile = _profile(m)
    names = list(profile.points)
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    axes = grid_of_axes(
        len(names), columns, figsize=(2.9 * columns + 0.3, 2.5 * rows + 0.3), sharey=True
    )
    long = {p.name: p.long_name for p in profile.every}
    for ax, name in zip(axes, names, strict=True):
        x, zeta = _curve(profile, name)
        ax.axhline(0, color="0.85", linewidth=1, zorder=0)
        for level in levels:
            cut = float(ndtri(0.5 + level / 2))
            for sign in (-1, 1):
                if zeta.min() <= sign * cut <= zeta.max():
                    at = float(np.interp(sign * cut, zeta, x))
                    ax.plot([at, at], [0, sign * cut], color="C1", linewidth=0.9)
        fine = np.linspace(x[0], x[-1], 200)
        ax.plot(fine, _smooth(x, zeta)(fine), color="C0")
        title = name if long[name] in (name, name[1:]) else f"{name}  {long[name]}"
        ax.set_title(title, fontsize=8)
        ax.tick_params(labelsize=8)
    for ax in axes[::columns]:
        ax.set_ylabel(r"$\zeta$")
    return axes


class _Plane:
    """Two parameters' profiles on the zeta scale, with their traces."""

    def __init__(self, profile: Profile, one: str, two: str):
        index = {p.name: i for i, p in enumerate(profile.every)}
        self.x = {name: _curve(profile, name) for name in (one, two)}
        self.zeta = {name: _smooth(*self.x[name]) for name in (one, two)}
        self.value = {name: _smooth(self.x[name][1], self.x[name][0]) for name in (one, two)}
        # where the other parameter goes while one is moved
        self.trace = {}
        for name, other in ((one, two), (two, one)):
            points = profile.points[name]
            at = np.array([p.zeta for p in points])
            there = np.array([p.all[index[other]] for p in points])
            self.trace[name] = (at, there)
        self.one, self.two = one, two

    def moved(self, name: str, other: str, u: float) -> float:
        """Zeta of ``other`` on the trace of ``name`` at zeta ``u``; NaN beyond the profile."""
        at, there = self.trace[name]
        value = _smooth(at, there)(u)
        return float(self.zeta[other](value))

    def contour(self, u: float) -> tuple[Any, Any] | None:
        """Points at which the deviance is u^2 higher: interpolation of the angles between the
        traces (Bates & Watts 1988, appendix A6.1).
        """
        from scipy.interpolate import CubicSpline

        g1, g2 = (self.moved(self.one, self.two, s * u) for s in (1, -1))
        h1, h2 = (self.moved(self.two, self.one, s * u) for s in (1, -1))
        ratios = np.array([g1, h1, -g2, -h2]) / u
        if not np.isfinite(ratios).all():
            return None
        d = np.arccos(np.clip(ratios, -1, 1))
        a = np.array([-d[0] / 2, d[1] / 2, math.pi - d[2] / 2, math.pi + d[3] / 2])
        if np.any(np.diff(a) <= 0) or a[3] >= a[0] + 2 * math.pi:
            return None
        spline = CubicSpline([*a, a[0] + 2 * math.pi], [*d, d[0]], bc_type="periodic")
        angle = np.linspace(a[0], a[0] + 2 * math.pi, 181)
        between = spline(angle)
        x = self.value[self.one](u * np.cos(angle + between / 2))
        y = self.value[self.two](u * np.cos(angle - between / 2))
        return x, y


def _draw_plane(ax: Axes, plane: _Plane, levels: Sequence[float]) -> None:
    from scipy.special import chdtri

    for level in levels:
        found = plane.contour(math.sqrt(float(chdtri(2, 1 - level))))
        if found is not None:
            ax.plot(*found, color="C0", linewidth=0.9)
    ax.plot(plane.x[plane.one][0], plane.trace[plane.one][1], color="C1", linewidth=0.8)
    ax.plot(plane.trace[plane.two][1], plane.x[plane.two][0], color="C2", linewidth=0.8)


@drawing
def profile_pairs(m: Any, levels: Sequence[float] = LEVELS) -> AxesArray:
    """Draw pairs of parameters: contours of the deviance (of joint regions of ``levels``) and the
    profile traces; on the diagonal each parameter's zeta. Only the lower half is used.

    Parameters
    ----------
    m : Model or Profile
        A model is profiled first.
    levels : sequence of float
        Of the joint regions, between 0 and 1.

    Returns
    -------
    array of Axes (k, k)

    Raises
    ------
    DataError
        Fewer than 2 or more than 12 parameters, or matplotlib is missing.

    References
    ----------
    Bates & Watts (1988), Nonlinear Regression Analysis and Its Applications, appendix A6.1.
    """
    profile = _profile(m)
    names = list(profile.points)
    k = len(names)
    if k < 2:
        raise DataError("profile_pairs() needs the profiles of two parameters or more")
    if k > 12:
        raise DataError(
            f"{k} parameters are too many for one picture: m.profile([...]) of at most 12"
        )
    size = float(np.clip(1.7 * k, 4, 14))
    axes = grid_of_axes(k * k, k, figsize=(size, size)).reshape(k, k)
    for i, row in enumerate(names):
        for j, column in enumerate(names):
            ax = axes[i, j]
            if j > i:
                ax.set_axis_off()
                continue
            ax.tick_params(labelsize=6)
            ax.locator_params(nbins=4)
            if i == j:
                x, zeta = _curve(profile, row)
                ax.plot(x, zeta, color="0.4", linewidth=1)
                ax.axhline(0, color="0.85", linewidth=0.8, zorder=0)
                ax.set_title(row, fontsize=8, pad=3)
            else:
                _draw_plane(ax, _Plane(profile, column, row), levels)
                x, y = (profile.estimates[_index(profile, n)] for n in (column, row))
                ax.plot(x, y, "+", color="black", markersize=5)
            if i < k - 1:
                ax.set_xticklabels([])
            else:
                ax.set_xlabel(column, fontsize=8)
            if j > 0 or i == 0:
                if i != j:
                    ax.set_yticklabels([])
            else:
                ax.set_ylabel(row, fontsize=8)
    return axes


def _index(profile: Profile, name: str) -> int:
    return next(i for i, p in enumerate(profile.every) if p.name == name)
