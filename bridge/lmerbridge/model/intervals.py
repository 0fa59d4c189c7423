"""Profiles, confidence intervals and bootstraps of a fitted model."""

from __future__ import annotations

import functools
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmerbridge.arguments import belongs, check_level
from lmerbridge.display.intervals import confint_text
from lmerbridge.display.table import RTable
from lmerbridge.engines import FitSpec, load_engine
from lmerbridge.errors import ArgumentError, DataError, UnsupportedModelError, matched
from lmerbridge.inference.family_residuals import fitted_family
from lmerbridge.inference.fit import Fit
from lmerbridge.inference.levels import DEFAULT_LEVEL, percent_labels
from lmerbridge.inference.parameters import Parameter, parameters, select
from lmerbridge.model.fitting import (
    check_native,
    family_refits,
    native_spec,
    native_without,
    natively,
)
from lmerbridge.model.progress import progress_bar
from lmerbridge.model.replications import OF_INTERVALS

if TYPE_CHECKING:
    from lmerbridge.inference.bootstrap import Bootstrap
    from lmerbridge.inference.profile import Profile
    from lmerbridge.result import FitResult

__all__ = ["boot", "confint", "maximum_likelihood", "profile_of"]

METHODS = ("profile", "Wald", "boot")
SCALES = ("sdcor", "varcov")
SIZES = ("given", "free")


def maximum_likelihood(fit: Fit) -> FitResult:
    """Return the ML fit of the model by the native engine, which profiles start from; made once.

    Raises
    ------
    UnsupportedModelError
        The native engine does not fit this generalized model, or its criterion is not one to be
        profiled.
    """
    call = fit.result.call
    if call.generalized:
        if call.nAGQ == 0:
            raise UnsupportedModelError(
                "a fit with nAGQ=0 has no profile: its criterion is not minimized over the fixed "
                "effects. Profile m.update(nAGQ=1)"
            )
        if fitted_family(fit.result).dispersion is None and call.dispersion != "ML":
            raise UnsupportedModelError(
                "the dispersion of this fit is a moment estimate: what is minimized is no "
                "likelihood, of which zeta would be the root of a chi-squared statistic, and R has "
                "no profile of it either. Profile m.update(dispersion='ML', engine='native'), or "
                "take confint(method='Wald')"
            )
        if fit.result.provenance.engine == "native" and call.like is None:
            return fit.result
        check_native(fit, "profile()")
        spec = replace(native_spec(fit), like=None)  # with its constants
        return fit.once("ML", lambda: load_engine("native").fit(fit.frame, spec))
    return fit.once("ML", lambda: load_engine("native").fit(fit.frame, FitSpec(REML=False)))


def _parameters(fit: Fit, scale: str, size: str) -> list[Parameter]:
    """The parameters on a scale, with the size where it is free.

    Raises
    ------
    ArgumentError
        No size was estimated.
    """
    free = matched(size, SIZES, "size") == "free"
    if free and not fit.result.call.size_estimated:
        raise ArgumentError("size='free' is of a glmer_nb() fit: no size was estimated here")
    return parameters(fit.result, scale == "varcov", free)


def _profile(
    fit: Fit,
    which: list[Parameter],
    scale: str,
    progress: bool,
    every: list[Parameter],
    **limits: float,
) -> Profile:
    from lmerbridge.inference.profile import varcov_scale
    from lmerbridge.inference.profiling import profile

    done = [0]
    with progress_bar("profile", progress) as bar:

        def tell(_: str) -> None:
            if bar is not None:
                bar(done[0], len(which))
            done[0] += 1

        profiled = profile(
            fit.frame,
            maximum_likelihood(fit),
            which,
            progress=tell,
            every=every,
            **limits,
        )
    return varcov_scale(profiled) if scale == "varcov" else profiled


def profile_of(
    fit: Fit,
    parm: Any,
    progress: bool,
    prof_scale: str,
    signames: bool,
    alphamax: float,
    size: str = "given",
) -> Profile:
    """Profile the deviance; arguments as of :meth:`lmerbridge.GeneralizedModel.profile`."""
    from lmerbridge.inference.profile import long_names

    scale = matched(prof_scale, SCALES, "prof_scale")
    if not 0 < alphamax < 1:
        raise ArgumentError(f"alphamax must be between 0 and 1, not {alphamax}")
    every = _parameters(fit, scale, size)
    which = select(every, parm)
    profiled = _profile(fit, which, scale, progress, every, alphamax=float(alphamax))
    return profiled if signames else long_names(profiled)


def confint(
    fit: Fit,
    method: str = "profile",
    level: float = DEFAULT_LEVEL,
    parm: Any = None,
    oldNames: bool = True,
    nsim: int = OF_INTERVALS,
    boot_type: str = "perc",
    seed: int | None = None,
    jobs: int = 1,
    resume: str | Path | None = None,
    progress: bool = False,
    FUN: Callable[[Fit], Any] | None = None,
    prof_scale: str = "sdcor",
    signames: bool | None = None,
    size: str = "given",
) -> RTable:
    """Give confidence intervals; arguments as of :meth:`lmerbridge.GeneralizedModel.confint`, but
    that ``FUN`` takes a fit.
    """
    from lmerbridge.inference.bootstrap import INTERVALS

    method = matched(method, METHODS, "method")
    oldNames = oldNames if signames is None else signames
    scale = matched(prof_scale, SCALES, "prof_scale")
    check_level(level)
    labels = list(percent_labels(level))
    if method != "profile":
        belongs("method='profile'", size=size != "given")
    boot_type = matched(boot_type, INTERVALS, "boot_type")
    if method == "boot":
        belongs("method='profile'", prof_scale=scale != "sdcor")
        belongs(
            "intervals of the parameters, without FUN",
            oldNames=FUN is not None and not oldNames,
        )
        made = boot(fit, FUN, nsim, seed, False, "parametric", jobs, resume, progress)
        return _boot_table(fit, made, level, boot_type, parm, oldNames)
    belongs(
        "method='boot'",
        nsim=nsim != OF_INTERVALS,
        boot_type=boot_type != "perc",
        seed=seed is not None,
        jobs=jobs != 1,
        resume=resume is not None,
        FUN=FUN is not None,
    )
    known = _parameters(fit, scale, size)
    which = select(known, parm)
    if method == "Wald":
        bounds = _wald(fit, which, level)
    else:
        from scipy.special import ndtri

        reach = float(ndtri(0.5 + level / 2)) * 1.02
        profiled = _profile(fit, which, scale, progress, known, reach=reach)
        places = {p: i for i, p in enumerate(known)}
        which = [profiled.every[places[p]] for p in which]
        bounds = [profiled.interval(p.name, level) for p in which]
    names = [p.name if oldNames else p.long_name for p in which]
    shown = pd.DataFrame(bounds, index=names, columns=labels, dtype=float)
    return RTable.of(shown, confint_text(shown))


def _wald(fit: Fit, which: list[Parameter], level: float) -> list[tuple[float, float]]:
    from scipy.special import ndtri

    beta = fit.result.estimates.beta
    half = float(ndtri(0.5 + level / 2)) * np.sqrt(np.diag(fit.result.estimates.vcov))
    return [
        (float(beta[p.column] - half[p.column]), float(beta[p.column] + half[p.column]))
        if p.kind == "beta"
        else (np.nan, np.nan)
        for p in which
    ]


def _boot_table(
    fit: Fit, boot: Bootstrap, level: float, boot_type: str, parm: Any, oldNames: bool
) -> RTable:
    known = parameters(fit.result)
    if boot.names != tuple(p.name for p in known):  # of a FUN
        known = [Parameter(name, name, "beta") for name in boot.names]
    which = select(known, parm)
    table = boot.interval(level, boot_type)
    shown = table.iloc[[known.index(p) for p in which]].copy()
    shown.index = pd.Index([p.name if oldNames else p.long_name for p in which])
    notes = (f"{boot.failed} of {len(boot.t)} replications failed",) if boot.failed else ()
    return RTable.of(shown, confint_text(shown), notes)


def boot(
    fit: Fit,
    FUN: Callable[[Fit], Any] | None,
    nsim: int,
    seed: int | None,
    use_u: bool,
    type: str,
    jobs: int,
    resume: str | Path | None,
    progress: bool,
) -> Bootstrap:
    """Bootstrap the model; arguments as of :meth:`lmerbridge.Model.bootMer`, but that ``FUN`` takes
    a fit.
    """
    from lmerbridge.inference.bootstrap import (
        bootstrap,
        jackknife_of_parameters,
        parameter_statistic,
    )

    if fit.result.call.generalized:
        check_native(fit, "bootMer()")
    if seed is None:
        seed = int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> 1)
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ArgumentError(f"seed must be a non-negative whole number, not {seed!r}")
    jackknife: Callable[[], Any] | None = None
    if FUN is None:
        family = fit.result.call.generalized
        names, t0, statistic = parameter_statistic(
            fit, functools.partial(family_refits, fit) if family else None
        )
        jackknife = functools.partial(
            jackknife_of_parameters,
            fit,
            functools.partial(native_without, fit) if family else None,
        )
    else:
        names, t0, statistic = _statistic(fit, FUN)
    with progress_bar("bootstrap", progress) as bar:
        return bootstrap(
            fit,
            names,
            t0,
            statistic,
            nsim=nsim,
            seed=int(seed),
            use_u=use_u,
            type=type,
            jobs=jobs,
            resume=resume,
            progress=bar,
            jackknife=jackknife,
        )


def _statistic(fit: Fit, FUN: Callable[[Fit], Any]) -> Any:
    try:
        first = FUN(fit)
    except Exception as error:
        raise DataError(f"FUN fails on the fit itself: {_said(error)}") from error
    t0 = _numbers(first)
    names = [f"t{i + 1}" for i in range(len(t0))]
    if isinstance(first, (pd.Series, Mapping)):
        names = [str(name) for name in first.keys()]  # noqa: SIM118 - a Series iterates values

    def statistic(Y: Any) -> Any:
        from lmerbridge.inference.bootstrap import Replications

        errors: Counter[str] = Counter()
        warned: Counter[str] = Counter()
        t = np.full((Y.shape[1], len(t0)), np.nan)
        for i, y in enumerate(Y.T):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                try:
                    values = _numbers(FUN(natively(fit, y)))
                    if len(values) != len(t0):
                        raise DataError(
                            f"FUN gave {len(values)} numbers, and {len(t0)} for the fit itself"
                        )
                    t[i] = values
                except Exception as error:  # the user's function may raise anything
                    errors[_said(error)] += 1
            warned.update({str(w.message) for w in caught})
        return Replications(t, errors, warned)

    return names, t0, statistic


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


def _numbers(values: Any) -> Any:
    """What a user's statistic gives, as a vector."""
    if isinstance(values, Mapping):
        values = list(values.values())
    try:
        numbers = np.atleast_1d(np.asarray(values, dtype=np.float64)).ravel()
    except (TypeError, ValueError) as error:
        raise DataError(
            f"bootMer currently only handles functions that return numeric vectors: {error}"
        ) from error
    if not len(numbers):
        raise DataError("FUN gives no numbers")
    return numbers
