"""Prediction, simulation, and intervals of a fitted model."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmerbridge.design.newdata import NewRows, new_rows
from lmerbridge.display.intervals import confint_text
from lmerbridge.display.table import RTable
from lmerbridge.errors import DataError
from lmerbridge.inference.effects import NA, chosen_effects
from lmerbridge.inference.predict import (
    as_rows,
    check_levels,
    predictions,
    relative_variances,
    with_interval,
)
from lmerbridge.inference.simulate import draw, generator
from lmerbridge.model.base import ModelBase, Vector

if TYPE_CHECKING:
    from lmerbridge.inference.bootstrap import Bootstrap
    from lmerbridge.inference.profile import Profile
    from lmerbridge.result import FitResult

__all__ = ["Prediction", "progress_bar"]

METHODS = ("profile", "Wald", "boot")


@contextmanager
def progress_bar(title: str, show: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on standard error, or nothing."""
    if not show:
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class Prediction(ModelBase):
    """Methods that predict, simulate and give intervals."""

    def _new_rows(self, newdata: Any, chosen: Sequence[Any]) -> NewRows:
        frame = self.frame
        if newdata is None:
            return as_rows(frame)
        needed = any(columns.any() for columns in chosen)
        rows = new_rows(frame, newdata, random=needed)
        if needed:
            return rows
        from dataclasses import replace

        from lmerbridge.design.newdata import NewBlock

        n = len(rows)
        unknown = np.full(n, -1)
        none = np.zeros(n, dtype=bool)
        blocks = tuple(
            NewBlock(np.zeros((n, len(b.names))), unknown, none, (), unknown) for b in frame.random
        )
        return replace(rows, random=blocks)

    def predict(
        self,
        newdata: Any = None,
        re_form: Any = None,
        allow_new_levels: bool = False,
        se_fit: bool = False,
        interval: str | None = None,
        level: float = 0.95,
    ) -> Vector | pd.DataFrame:
        """Predictions for the rows of the fit or for new ones.

        Parameters
        ----------
        newdata : frame, optional
            Needs the predictors, and the grouping factors of the random terms that count.
            Missing values give missing predictions.
        re_form : None, "NA" or str
            ``None``: with all random effects; ``"NA"`` (also ``"~0"``, ``False``, NaN,
            ``pandas.NA``): with none; ``"~ (1 | g)"``: with these.
        allow_new_levels : bool
            Whether levels (and missing values) of grouping factors that the fit did not have
            are let in; their random effects are 0.
        se_fit : bool
            Add standard errors, theta taken as known; a new level adds its effects' variance.
        interval : {"confidence", "prediction"}, optional
            Add ``lwr`` and ``upr``: of the fit, or of a new observation.

        Returns
        -------
        Series, or DataFrame with ``fit``, ``se_fit``, ``lwr``, ``upr``

        Raises
        ------
        DataError
        """
        if not 0 < level < 1:
            raise DataError(f"level must be between 0 and 1, not {level}")
        frame, result = self.frame, self.result
        chosen = chosen_effects(frame, re_form)
        rows = self._new_rows(newdata, chosen)
        check_levels(frame, rows, chosen, allow_new_levels)
        fit = predictions(result, rows, chosen)
        if not se_fit and interval is None:
            if newdata is None:
                return self._rows(fit, "predict")
            return pd.Series(fit, index=rows.index, name="predict")
        sigma = result.estimates.sigma
        error = sigma * np.sqrt(relative_variances(frame, result, rows, chosen))
        spread: Any = sigma
        if interval == "prediction" and frame.weights is not None:
            if rows.weights is None:
                raise DataError(
                    "a prediction interval needs the new rows' weights: give newdata a column "
                    f"{frame.weights_name!r}"
                )
            spread = sigma / np.sqrt(rows.weights)
        table = with_interval(fit, error, interval, spread, level)
        if newdata is None:
            columns = {str(c): self._rows(table[c].to_numpy(), str(c)) for c in table}
            return pd.DataFrame(columns)
        return table if rows.index is None else table.set_index(rows.index)

    def simulate(
        self,
        nsim: int = 1,
        seed: Any = None,
        re_form: Any = NA,
        newdata: Any = None,
        allow_new_levels: bool = False,
    ) -> pd.DataFrame:
        """New responses from the fitted model.

        Parameters
        ----------
        seed : int or numpy Generator, optional
        re_form : None, "NA" or str
            Which random effects are kept as estimated; the others are drawn anew. Default: none
            is kept, as in R.
        newdata : frame, optional

        Returns
        -------
        DataFrame
            Columns ``sim_1``, ``sim_2``, ...
        """
        if not isinstance(nsim, (int, np.integer)) or nsim < 1:
            raise DataError(f"nsim must be a positive whole number, not {nsim!r}")
        frame, result = self.frame, self.result
        rng = generator(seed)
        chosen = chosen_effects(frame, re_form)
        rows = as_rows(frame) if newdata is None else new_rows(frame, newdata)
        if newdata is not None and frame.weights is not None and rows.weights is None:
            raise DataError(f"the model has weights: give newdata a column {frame.weights_name!r}")
        check_levels(frame, rows, chosen, allow_new_levels)
        mean = predictions(result, rows, chosen)
        levels = [len(b.levels) for b in frame.random]
        estimates = result.estimates
        made = draw(rng, rows, mean, estimates.theta, estimates.sigma, levels, chosen, int(nsim))
        columns = [f"sim_{i + 1}" for i in range(int(nsim))]
        return pd.DataFrame(made, columns=columns, index=rows.index)

    # -- intervals

    def _ml(self) -> FitResult:
        """The ML fit of this model by the native engine, which profiles start from."""
        known = self.__dict__.get("_ml_fit")
        if known is None:
            from lmerbridge.engines import FitSpec, load_engine

            known = load_engine("native").fit(self.frame, FitSpec(REML=False))
            self.__dict__["_ml_fit"] = known
        return known

    def profile(self, parm: Any = None, progress: bool = False) -> Profile:
        """Likelihood profiles; ``parm`` as of :meth:`confint`.

        Returns
        -------
        Profile
            ``table()``, ``interval(name, level)``; plots by
            :func:`lmerbridge.plots.profile_zeta` and :func:`lmerbridge.plots.profile_pairs`.
        """
        from lmerbridge.inference.profile import parameters, profile, select

        ml = self._ml()
        which = select(parameters(ml), parm)
        done = [0]
        with progress_bar("profile", progress) as bar:

            def tell(_: str) -> None:
                if bar is not None:
                    bar(done[0], len(which))
                done[0] += 1

            return profile(self.frame, ml, which, progress=tell)

    def confint(
        self,
        method: str = "profile",
        level: float = 0.95,
        parm: Any = None,
        oldNames: bool = True,
        nsim: int = 500,
        boot_type: str = "perc",
        seed: int | None = None,
        jobs: int = 1,
        resume: str | Path | None = None,
        progress: bool = False,
    ) -> RTable:
        """Confidence intervals, a row per parameter, printed as R prints them.

        Parameters
        ----------
        method : {"profile", "Wald", "boot"}
            ``profile``: by the likelihood (ML, as in lme4), to the ends themselves, where lme4
            interpolates; ``Wald``: of the fixed effects alone; ``boot``: parametric bootstrap.
        parm : str, int or sequence, optional
            Names (``.sig01``, ``sd_Days|Subject``, ``Days``), positions, ``"theta_"`` or
            ``"beta_"``.
        oldNames : bool
            ``.sig01`` as lme4's default, or ``sd_(Intercept)|Subject``.
        nsim, boot_type, seed, jobs, resume
            Of the bootstrap (:meth:`bootMer`); ``boot_type`` is ``perc``, ``basic``, ``norm`` or
            ``bca``.
        """
        from lmerbridge.inference.profile import parameters, profile, select

        if method not in METHODS:
            raise DataError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
        if not 0 < level < 1:
            raise DataError(f"level must be between 0 and 1, not {level}")
        every = parameters(self.result)
        which = select(every, parm)
        notes: tuple[str, ...] = ()
        if method == "Wald":
            from scipy.special import ndtri

            errors = np.sqrt(np.diag(self.result.estimates.vcov))
            half = float(ndtri(0.5 + level / 2)) * errors
            beta = self.result.estimates.beta
            bounds = [
                (beta[p.column] - half[p.column], beta[p.column] + half[p.column])
                if p.kind == "beta"
                else (np.nan, np.nan)
                for p in which
            ]
        elif method == "profile":
            from scipy.special import ndtri

            reach = float(ndtri(0.5 + level / 2)) * 1.02
            with progress_bar("profile", progress) as bar:
                done = [0]

                def tell(_: str) -> None:
                    if bar is not None:
                        bar(done[0], len(which))
                    done[0] += 1

                found = profile(self.frame, self._ml(), which, reach, tell)
            bounds = [found.interval(p.name, level) for p in which]
        else:
            boot = self.bootMer(nsim=nsim, seed=seed, jobs=jobs, resume=resume, progress=progress)
            table = boot.interval(level, boot_type)
            rows = dict(zip(boot.names, table.to_numpy().tolist(), strict=True))
            bounds = [tuple(rows[p.name]) for p in which]
            notes = (f"{boot.failed} of {len(boot.t)} replications failed",) if boot.failed else ()
        names = [p.name if oldNames else p.long_name for p in which]
        low, high = (f"{100 * c:.3g} %" for c in (0.5 - level / 2, 0.5 + level / 2))
        shown = pd.DataFrame(bounds, index=names, columns=[low, high], dtype=float)
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
        """The bootstrap of this model.

        Parameters
        ----------
        FUN : callable, optional
            From a Model to numbers (a Series names them). Default: all parameters, by refits
            that take a fraction of a millisecond for models with one grouping factor.
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
        first = FUN(self)
        if isinstance(first, pd.Series):
            names = [str(i) for i in first.index]
        else:
            size = np.size(first)
            names = [f"t{i + 1}" for i in range(size)]
        t0 = np.atleast_1d(np.asarray(first, dtype=np.float64)).ravel()

        def statistic(Y: Any) -> Any:
            from lmerbridge.errors import LmerBridgeError

            rows = []
            for y in Y.T:
                try:
                    refitted = self._refit_natively(y)
                    rows.append(np.asarray(FUN(refitted), dtype=np.float64).ravel())
                except LmerBridgeError:
                    rows.append(np.full(len(t0), np.nan))
            return np.array(rows)

        return names, t0, statistic

    def _refit_natively(self, y: Any) -> Any:
        from lmerbridge.engines import FitSpec, load_engine

        frame = self.frame.with_response(y)
        spec = FitSpec(self.result.call.REML, tuple(self.result.estimates.theta.tolist()))
        return type(self)(load_engine("native").fit(frame, spec), frame, self.inputs)
