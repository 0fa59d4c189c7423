"""Profiles, confidence intervals and bootstraps of a fitted model."""

from __future__ import annotations

import functools
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmerbridge.arguments import belongs, checked
from lmerbridge.display.intervals import confint_text
from lmerbridge.display.table import RTable
from lmerbridge.errors import DataError, matched
from lmerbridge.inference.levels import percent_labels
from lmerbridge.inference.parameters import Parameter, parameters, select
from lmerbridge.model.base import ModelBase
from lmerbridge.model.progress import progress_bar

if TYPE_CHECKING:
    from lmerbridge.inference.bootstrap import Bootstrap
    from lmerbridge.inference.profile import Profile
    from lmerbridge.result import FitResult

__all__ = ["Intervals"]

METHODS = ("profile", "Wald", "boot")
SCALES = ("sdcor", "varcov")
NSIM = 500  # replications of an interval by default


@checked
class Intervals(ModelBase):
    """Methods that give intervals."""

    def _ml(self) -> FitResult:
        """The ML fit of this model by the native engine, which profiles start from."""
        known = self.__dict__.get("_ml_fit")
        if known is None:
            from lmerbridge.engines import FitSpec, load_engine

            known = load_engine("native").fit(self.frame, FitSpec(REML=False))
            self.__dict__["_ml_fit"] = known
        return known

    def _profile(
        self, which: list[Parameter], scale: str, progress: bool, **limits: float
    ) -> Profile:
        from lmerbridge.inference.profiling import profile
        from lmerbridge.inference.profile import varcov_scale

        covariances = scale == "varcov"
        done = [0]
        with progress_bar("profile", progress) as bar:

            def tell(_: str) -> None:
                if bar is not None:
                    bar(done[0], len(which))
                done[0] += 1

            found = profile(
                self.frame,
                self._ml(),
                which,
                progress=tell,
                every=parameters(self.result, covariances),
                **limits,
            )
        return varcov_scale(found) if covariances else found

    def profile(
        self,
        parm: Any = None,
        progress: bool = False,
        *,
        prof_scale: str = "sdcor",
        signames: bool = True,
        alphamax: float = 0.01,
    ) -> Profile:
        """Profile the deviance (ML, as in lme4) over each parameter.

        Parameters
        ----------
        parm : str, int or sequence, optional
            As of :meth:`confint`.
        prof_scale : {"sdcor", "varcov"}
            Standard deviations and correlations, or variances and covariances.
        signames : bool
            Names like ``.sig01``, or ``sd_(Intercept)|Subject``.
        alphamax : float
            The profile reaches to the joint region of level 1 - ``alphamax``.

        Returns
        -------
        Profile
            ``table()``, ``confint(level, parm)``, ``varianceProf()``, ``logProf()``; plots by
            :func:`lmerbridge.plots.profile_zeta` and :func:`lmerbridge.plots.profile_pairs`.

        Raises
        ------
        DataError
        """
        from lmerbridge.inference.profile import long_names

        scale = matched(prof_scale, SCALES, "prof_scale")
        if not 0 < alphamax < 1:
            raise DataError(f"alphamax must be between 0 and 1, not {alphamax}")
        which = select(parameters(self.result, scale == "varcov"), parm)
        found = self._profile(which, scale, progress, alphamax=float(alphamax))
        return found if signames else long_names(found)

    def confint(
        self,
        method: str = "profile",
        level: float = 0.95,
        parm: Any = None,
        oldNames: bool = True,
        nsim: int = NSIM,
        boot_type: str = "perc",
        seed: int | None = None,
        jobs: int = 1,
        resume: str | Path | None = None,
        progress: bool = False,
        *,
        FUN: Callable[[Any], Any] | None = None,
        prof_scale: str = "sdcor",
        signames: bool | None = None,
    ) -> RTable:
        """Give confidence intervals, a row per parameter, printed as R prints them.

        Parameters
        ----------
        method : {"profile", "Wald", "boot"}
            ``profile``: by the likelihood (ML, as in lme4), to the ends themselves, where lme4
            interpolates; ``Wald``: of the fixed effects alone; ``boot``: parametric bootstrap.
        parm : str, int or sequence, optional
            Names (``.sig01``, ``sd_Days|Subject``, ``Days``), ``"theta_"``, ``"beta_"``, or
            positions, which count from 1 as in R. The rows stay in the model's order.
        oldNames : bool
            ``.sig01`` as lme4's default, or ``sd_(Intercept)|Subject``.
        signames : bool, optional
            What lme4 calls ``oldNames`` since 1.1-38; it counts where it is given.
        nsim, boot_type, seed, jobs, resume, FUN
            Of the bootstrap (:meth:`bootMer`); ``boot_type`` is ``perc``, ``basic``, ``norm`` or
            ``bca``. With ``FUN`` the rows are what it gives.
        prof_scale : {"sdcor", "varcov"}
            Of the profile: standard deviations and correlations, or variances and covariances.

        Raises
        ------
        DataError
        FitFailedError
            Every replication of the bootstrap failed.
        """
        from lmerbridge.inference.bootstrap import INTERVALS

        method = matched(method, METHODS, "method")
        oldNames = oldNames if signames is None else signames
        scale = matched(prof_scale, SCALES, "prof_scale")
        if not 0 < level < 1:
            raise DataError(f"level must be between 0 and 1, not {level}")
        labels = list(percent_labels(level))
        boot_type = matched(boot_type, INTERVALS, "boot_type")
        if method == "boot":
            belongs("method='profile'", prof_scale=scale != "sdcor")
            belongs(
                "intervals of the parameters, without FUN",
                oldNames=FUN is not None and not oldNames,
            )
            boot = self.bootMer(FUN, nsim, seed, jobs=jobs, resume=resume, progress=progress)
            return self._boot_table(boot, level, boot_type, parm, oldNames)
        belongs(
            "method='boot'",
            nsim=nsim != NSIM,
            boot_type=boot_type != "perc",
            seed=seed is not None,
            jobs=jobs != 1,
            resume=resume is not None,
            FUN=FUN is not None,
        )
        which = select(parameters(self.result, scale == "varcov"), parm)
        if method == "Wald":
            bounds = self._wald(which, level)
        else:
            from scipy.special import ndtri

            reach = float(ndtri(0.5 + level / 2)) * 1.02
            found = self._profile(which, scale, progress, reach=reach)
            places = {p: i for i, p in enumerate(parameters(self.result, scale == "varcov"))}
            which = [found.every[places[p]] for p in which]
            bounds = [found.interval(p.name, level) for p in which]
        names = [p.name if oldNames else p.long_name for p in which]
        shown = pd.DataFrame(bounds, index=names, columns=labels, dtype=float)
        return RTable.of(shown, confint_text(shown))

    def _wald(self, which: list[Parameter], level: float) -> list[tuple[float, float]]:
        from scipy.special import ndtri

        beta = self.result.estimates.beta
        half = float(ndtri(0.5 + level / 2)) * np.sqrt(np.diag(self.result.estimates.vcov))
        return [
            (float(beta[p.column] - half[p.column]), float(beta[p.column] + half[p.column]))
            if p.kind == "beta"
            else (np.nan, np.nan)
            for p in which
        ]

    def _boot_table(
        self, boot: Bootstrap, level: float, boot_type: str, parm: Any, oldNames: bool
    ) -> RTable:
        known = parameters(self.result)
        if boot.names != tuple(p.name for p in known):  # of a FUN
            known = [Parameter(name, name, "beta") for name in boot.names]
        which = select(known, parm)
        table = boot.interval(level, boot_type)
        shown = table.iloc[[known.index(p) for p in which]].copy()
        shown.index = pd.Index([p.name if oldNames else p.long_name for p in which])
        notes = (f"{boot.failed} of {len(boot.t)} replications failed",) if boot.failed else ()
        return RTable.of(shown, confint_text(shown), notes)

    def bootMer(
        self,
        FUN: Callable[[Any], Any] | None = None,
        nsim: int = 1000,
        seed: int | None = None,
        use_u: bool = False,
        type: str = "parametric",
        jobs: int = 1,
        resume: str | Path | None = None,
        progress: bool = False,
    ) -> Bootstrap:
        """Bootstrap this model.

        Parameters
        ----------
        FUN : callable, optional
            From a Model to numbers (a Series or a mapping names them). Where it raises, that
            replication is NaN, with a warning in the end; the messages are kept in ``errors``.
            Default: all parameters, by refits that take a fraction of a millisecond for models
            with one grouping factor.
        seed : int, optional
            Reproduces the replications, whatever ``jobs``; drawn and kept in the result if not
            given.
        use_u, type
            ``parametric`` with new random effects, or around the fitted values (``use_u=True``);
            ``semiparametric`` draws the fit's own residuals (``use_u=True``).
        jobs : int
            Processes (joblib).
        resume : path, optional
            Keeps what is done: an interrupted bootstrap with the same arguments goes on there.
        progress : bool
            Show a bar.

        Returns
        -------
        Bootstrap
            ``t`` (nsim, q), ``table()``, ``interval(level, type)``, ``failed``, ``errors``.

        Raises
        ------
        DataError
            ``FUN`` fails on the fit itself, or gives no numbers.
        UnsupportedModelError
        """
        from lmerbridge.inference.bootstrap import (
            bootstrap,
            jackknife_of_parameters,
            parameter_statistic,
        )

        frame, result = self.frame, self.result
        if seed is None:
            seed = int(np.random.SeedSequence().entropy % 2**63)  # type: ignore[operator]
        if not isinstance(seed, (int, np.integer)) or seed < 0:
            raise DataError(f"seed must be a non-negative whole number, not {seed!r}")
        jackknife: Callable[[], Any] | None = None
        if FUN is None:
            names, t0, statistic = parameter_statistic(frame, result)
            jackknife = functools.partial(jackknife_of_parameters, frame, result)
        else:
            names, t0, statistic = self._statistic(FUN)
        with progress_bar("bootstrap", progress) as bar:
            return bootstrap(
                frame,
                result,
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

    def _statistic(self, FUN: Callable[[Any], Any]) -> Any:
        try:
            first = FUN(self)
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
                        values = _numbers(FUN(self._refit_natively(y)))
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

    def _refit_natively(self, y: Any) -> Any:
        from lmerbridge.engines import FitSpec, load_engine

        frame = self.frame.with_response(y)
        spec = FitSpec(self.result.call.REML, tuple(self.result.estimates.parameters.tolist()))
        return type(self)(load_engine("native").fit(frame, spec), frame, self.inputs)


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


def _numbers(values: Any) -> Any:
    """What a user's statistic gives, as a vector."""
    if isinstance(values, Mapping):
        values = list(values.values())
    try:
        found = np.atleast_1d(np.asarray(values, dtype=np.float64)).ravel()
    except (TypeError, ValueError) as error:
        raise DataError(
            f"bootMer currently only handles functions that return numeric vectors: {error}"
        ) from error
    if not len(found):
        raise DataError("FUN gives no numbers")
    return found
