"""The bootstrap of a fitted model: lme4's ``bootMer``, with intervals.

Efron & Tibshirani (1993), *An Introduction to the Bootstrap*: percentile (section 13.3), basic
(Davison & Hinkley 1997, equation 5.6), normal, and BCa (section 14.3) intervals. Work goes chunk by
chunk; each chunk has its own random stream made of the seed and its number, so that neither the
number of processes nor an interruption changes a result.
"""

from __future__ import annotations

import json
import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.arguments import check_level, checked
from lmerbridge.design import ModelFrame
from lmerbridge.dialects import dialect_of
from lmerbridge.digest import digest, own_code
from lmerbridge.equality import by_value
from lmerbridge.errors import (
    ArgumentError,
    DataError,
    FitFailedError,
    FitWarning,
    LmerBridgeError,
    UnsupportedModelError,
    matched,
    near_match,
)
from lmerbridge.inference.drawn import drawn_responses
from lmerbridge.inference.fit import Fit
from lmerbridge.inference.influence import Without, influence
from lmerbridge.inference.levels import percent_labels
from lmerbridge.inference.parameters import cells, parameters
from lmerbridge.inference.re_form import NA, chosen_effects
from lmerbridge.messages import from_outside
from lmerbridge.optional import needed
from lmerbridge.result import FitResult
from lmerbridge.shown import shown, titled_table

if TYPE_CHECKING:
    from lmerbridge.solve.refits import Refits

__all__ = [
    "INTERVALS",
    "Bootstrap",
    "Replications",
    "all_parameters",
    "bootstrap",
    "jackknife_of_parameters",
    "parameter_statistic",
    "responses",
]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


@by_value
@dataclass(frozen=True, eq=False)
class Replications:
    """Statistics of some responses.

    Attributes
    ----------
    t : array (b, q)
        NaN where one could not be computed.
    errors, warnings : mapping of str to int
        What was said while they were computed, and how often.
    """

    t: Array
    errors: Mapping[str, int] = field(default_factory=dict)
    warnings: Mapping[str, int] = field(default_factory=dict)


# responses (n, b) to statistics
Statistic: TypeAlias = Callable[[Array], Replications]

# how one refit can fail, which must not end the others
FAILURES = (LmerBridgeError, ArithmeticError, ValueError)
KINDS = ("parametric", "semiparametric")
INTERVALS = ("perc", "basic", "norm", "bca")
CHUNK_REFITS = 100


@checked
@by_value
@dataclass(frozen=True, eq=False)
@shown
class Bootstrap:
    """Replications of some statistics.

    Attributes
    ----------
    names : tuple of str
    t0 : array (q,)
        Of the fit itself.
    t : array (B, q)
        NaN where a replication failed.
    seed : int
        What reproduces it.
    kind : str
        ``parametric`` or ``semiparametric``.
    jackknife : callable
        Gives the statistics (levels, q) without each level of the outermost grouping factor.
    errors, warnings : mapping of str to int
        What the replications said, and how many of them did.
    """

    names: tuple[str, ...]
    t0: Array
    t: Array
    seed: int
    kind: str
    jackknife: Callable[[], Array] = field(compare=False)
    errors: Mapping[str, int] = field(default_factory=dict)
    warnings: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        count = len(self.t)
        failed = f", {self.failed} failed" if self.failed else ""
        return titled_table(
            f"{self.kind.capitalize()} bootstrap: {count} replications{failed}, seed {self.seed}\n"
            "(table(), confint(), frame())",
            self.table(),
        )

    @property
    def failed(self) -> int:
        """Replications that gave no number."""
        return int(np.isnan(self.t).all(axis=1).sum())

    def table(self) -> pd.DataFrame:
        """``original``, ``bias``, ``std_error`` by statistic, as R prints them."""
        mean, error = np.full(self.t.shape[1], np.nan), np.full(self.t.shape[1], np.nan)
        for j, column in enumerate(self.t.T):
            good = column[~np.isnan(column)]
            if len(good):
                mean[j] = good.mean()
            if len(good) > 1:
                error[j] = good.std(ddof=1)
        return pd.DataFrame(
            {"original": self.t0, "bias": mean - self.t0, "std_error": error},
            index=list(self.names),
        )

    def frame(self) -> pd.DataFrame:
        """The replications, a row each."""
        return pd.DataFrame(self.t, columns=list(self.names))

    def interval(self, level: float = 0.95, type: str = "perc") -> pd.DataFrame:
        """Intervals, a row per statistic.

        Raises
        ------
        DataError
            Unknown type, or a level outside (0, 1).
        FitFailedError
            No replication gave a number.
        """
        kind = matched(type, INTERVALS, "type")
        check_level(level)
        if self.failed == len(self.t):
            said = "; ".join(self.errors)
            raise FitFailedError(f"*all* bootstrap runs failed!{f' ({said})' if said else ''}")
        rows = []
        cuts = (0.5 - level / 2, 0.5 + level / 2)
        jackknife = self.jackknife() if kind == "bca" else None
        extreme = False
        for j, t0 in enumerate(self.t0):
            t = self.t[:, j]
            t = np.sort(t[~np.isnan(t)])
            if len(t) < 2:
                rows.append([math.nan, math.nan])
                continue
            extreme |= kind in ("perc", "basic") and not (len(t) + 1) * cuts[0] > 1
            rows.append(
                _interval(t, float(t0), cuts, kind, None if jackknife is None else jackknife[:, j])
            )
        if extreme:
            warnings.warn(
                "extreme order statistics used as endpoints: more replications are needed for "
                f"this level than {len(self.t)}",
                FitWarning,
                stacklevel=from_outside(),
            )
        return pd.DataFrame(rows, index=list(self.names), columns=list(percent_labels(level)))

    def confint(
        self, level: float = 0.95, parm: str | Sequence[str] | None = None, type: str = "perc"
    ) -> pd.DataFrame:
        """Return the intervals by R's name for them, of all statistics or of some.

        Parameters
        ----------
        level : float
            Between 0 and 1.
        parm : str or sequence of str, optional
            The statistics; default: all.
        type : {"perc", "basic", "norm", "bca"}
            Percentile, basic, normal or bias-corrected and accelerated limits.

        Raises
        ------
        DataError
            No such statistic, unknown type, or a level outside (0, 1).
        FitFailedError
            No replication gave a number.
        """
        found = self.interval(level, type)
        if parm is None:
            return found
        wanted = [parm] if isinstance(parm, str) else list(parm)
        for name in wanted:
            if name not in self.names:
                raise DataError(
                    f"no statistic {name!r}{near_match(name, self.names)}; there are "
                    f"{', '.join(self.names)}"
                )
        return found.loc[wanted]


def _quantile(t: Array, alpha: float) -> float:
    """The quantile of sorted replications, interpolated on the normal scale (Davison & Hinkley
    1997, equation 5.8).
    """
    from scipy.special import ndtri

    B = len(t)
    k = (B + 1) * alpha
    low = math.floor(k)
    if low < 1 or low >= B:
        return float(t[0] if low < 1 else t[-1])
    if k == low:
        return float(t[low - 1])
    z, z0, z1 = (float(ndtri(p)) for p in (alpha, low / (B + 1), (low + 1) / (B + 1)))
    return float(t[low - 1] + (z - z0) / (z1 - z0) * (t[low] - t[low - 1]))


def _interval(
    t: Array, t0: float, cuts: tuple[float, float], type: str, jackknife: Array | None
) -> list[float]:
    from scipy.special import ndtr, ndtri

    if type == "norm":
        bias, error = float(t.mean()) - t0, float(t.std(ddof=1))
        return [t0 - bias + float(ndtri(c)) * error for c in cuts]
    if type == "basic":
        return [2 * t0 - _quantile(t, 1 - c) for c in cuts]
    if type == "perc":
        return [_quantile(t, c) for c in cuts]
    assert jackknife is not None
    below = float(np.mean(t < t0) + 0.5 * np.mean(t == t0))
    below = min(max(below, 0.5 / len(t)), 1 - 0.5 / len(t))
    z0 = float(ndtri(below))
    change = np.nanmean(jackknife) - jackknife[~np.isnan(jackknife)]
    spread = float(np.sum(change**2))
    a = float(np.sum(change**3)) / (6 * spread**1.5) if spread > 0 else 0.0
    limits = []
    for c in cuts:
        z = z0 + float(ndtri(c))
        limits.append(_quantile(t, float(ndtr(z0 + z / (1 - a * z)))))
    return limits


def all_parameters(
    frame: ModelFrame,
    beta: Array,
    theta: Array,
    sigma: Array,
    deviations_first: bool,
    relative: bool = True,
) -> Array:
    """Standard deviations and correlations, sigma and fixed effects (B, q), in the order of
    :func:`~lmerbridge.inference.parameters.parameters`; ``relative`` says whether theta is in units
    of sigma.
    """
    unit = sigma if relative else np.ones_like(sigma)
    parts: list[Array] = []
    start = 0
    for block in frame.random:
        k = len(block.names)
        count = k * (k + 1) // 2
        L = np.zeros((len(theta), k, k))
        rows, columns = np.triu_indices(k)
        L[:, columns, rows] = theta[:, start : start + count]
        start += count
        S = (unit**2)[:, None, None] * (L @ np.swapaxes(L, 1, 2))
        sd = np.sqrt(np.diagonal(S, axis1=1, axis2=2))
        structure = block.structure
        pairs = cells(k, deviations_first)
        if not structure.plain:  # standard deviations, and the first correlation
            pairs = [(i, i) for i in range(structure.deviations(k))]
            pairs += [(1, 0)] * structure.correlated(k)
        for row, column in pairs:
            if row == column:
                parts.append(sd[:, row])
            else:
                with np.errstate(divide="ignore", invalid="ignore"):
                    parts.append(S[:, row, column] / (sd[:, row] * sd[:, column]))
    known = frame.family is not None and frame.family.dispersion is not None
    spread = [] if known else [sigma]
    return np.column_stack([*parts, *spread, beta])


def responses(
    frame: ModelFrame,
    result: FitResult,
    rng: np.random.Generator,
    count: int,
    use_u: bool,
    kind: str,
) -> Array:
    """``count`` bootstrap responses (n, count)."""
    if kind == "semiparametric":
        estimates = result.estimates
        drawn = rng.integers(0, frame.nobs, (frame.nobs, count))
        return np.asarray(estimates.fitted[:, None] + estimates.residuals[drawn])
    chosen = chosen_effects(frame, None if use_u else NA)
    return drawn_responses(frame, result, rng, chosen, count)


_MEANT = {
    "fingerprint": "data or model",
    "of": "fit or statistic",
    "names": "statistic",
    "lmerbridge": "version of lmerbridge",
    "numpy": "version of numpy",
}


def _stored(path: Path, key: dict[str, Any], sizes: Sequence[int]) -> dict[int, Replications]:
    """Chunks that an interrupted run has left in ``path``; those that are not whole are made again.

    Raises
    ------
    DataError
        The file is something else, or of another bootstrap.
    """
    if not path.exists():
        return {}
    chunks: dict[int, Replications] = {}
    try:
        lines = path.read_text("utf-8").splitlines()
        head = json.loads(lines[0]) if lines else key
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} holds no bootstrap: {error}") from error
    if head != key:
        other = [name for name in key if not isinstance(head, dict) or head.get(name) != key[name]]
        said = ", ".join(dict.fromkeys(_MEANT.get(name, name) for name in other))
        raise DataError(
            f"{path} holds another bootstrap (another {said}); name another file, or remove it"
        )
    for line in lines[1:]:
        try:
            number, made = _chunk(line)
            whole = made.t.shape == (sizes[number], len(key["names"])) and number >= 0
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
            continue  # of a run that was killed while writing
        if whole:
            chunks[number] = made
    return chunks


def _chunk(line: str) -> tuple[int, Replications]:
    record = json.loads(line)
    values = [[math.nan if v is None else v for v in row] for row in record["t"]]
    said = (record.get("errors", {}), record.get("warnings", {}))
    return int(record["chunk"]), Replications(np.array(values, dtype=np.float64), *said)


def _line(number: int, made: Replications) -> str:
    rows = [[None if math.isnan(v) else v for v in row] for row in made.t.tolist()]
    record: dict[str, Any] = {"chunk": number, "t": rows}
    if made.errors or made.warnings:
        record |= {"errors": dict(made.errors), "warnings": dict(made.warnings)}
    return json.dumps(record) + "\n"


def _total(counts: Iterator[Mapping[str, int]]) -> dict[str, int]:
    totals: Counter[str] = Counter()
    for count in counts:
        totals.update(count)
    return dict(totals)


def bootstrap(
    fit: Fit,
    names: Sequence[str],
    t0: Array,
    statistic: Statistic,
    *,
    nsim: int,
    seed: int,
    use_u: bool = False,
    type: str = "parametric",
    jobs: int = 1,
    resume: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    jackknife: Callable[[], Array] | None = None,
) -> Bootstrap:
    """Replicate ``statistic`` on ``nsim`` responses drawn from the model.

    Parameters
    ----------
    fit : Fit
        The model.
    names : sequence of str (q,)
        Of the statistics.
    t0 : array (q,)
        The statistics of the fit itself.
    statistic : Statistic
        What is computed of each response.
    nsim : int
        Replications.
    seed : int
        Reproduces them, whatever ``jobs``.
    use_u : bool
        Whether the conditional modes are kept, and only residuals drawn.
    type : str
        ``parametric``: new (random effects and) normal residuals. ``semiparametric``: the
        residuals are drawn from those of the fit, which needs ``use_u=True``.
    jobs : int
        Processes (joblib).
    resume : path, optional
        A file that keeps what is done.
    progress : callable, optional
        Called with the replications that are done, and all.
    jackknife : callable, optional
        Gives the statistics without each row or level, for intervals of type ``bca``.

    Raises
    ------
    DataError
        ``type`` does not go with ``use_u``, or ``resume`` holds another bootstrap.
    MissingPackageError
        ``jobs`` is not 1, and joblib is not installed.
    UnsupportedModelError
        The native engine, which fits the replications, does not fit this model.
    """
    if jobs != 1:
        needed("joblib", "parallel", f"a bootstrap with jobs={jobs}")
    frame, result = fit.frame, fit.result
    kind = matched(type, KINDS, "type")
    if kind == "semiparametric" and not use_u:
        raise UnsupportedModelError(
            "a semiparametric bootstrap draws residuals around the fitted values: use_u=True"
        )
    if kind == "semiparametric" and result.call.generalized:
        raise UnsupportedModelError(
            "a generalized model has no semiparametric bootstrap: its residuals are not "
            "exchangeable, as their variances depend on the means"
        )
    if not isinstance(nsim, (int, np.integer)) or nsim < 1:
        raise ArgumentError(f"nsim must be a positive whole number, not {nsim!r}")
    sizes = [min(CHUNK_REFITS, nsim - start) for start in range(0, nsim, CHUNK_REFITS)]
    estimates = result.estimates
    key = {
        "fingerprint": frame.fingerprint,
        "theta": estimates.theta.tolist(),
        "seed": int(seed),
        "nsim": int(nsim),
        "names": list(names),
        "use_u": use_u,
        "type": kind,
        # a statistic is known by its value at the fit; what is drawn, by the fit itself
        "of": digest(result.call.REML, estimates.beta, estimates.scale, estimates.fitted, t0),
        "lmerbridge": own_code(),
        "numpy": np.__version__,
    }
    path = None if resume is None else Path(resume)
    done = {} if path is None else _stored(path, key, sizes)

    def chunk(number: int) -> Replications:
        # spawned by number, so that each chunk is the same whatever came before it
        rng = np.random.default_rng(np.random.SeedSequence([int(seed), number]))
        return statistic(responses(frame, result, rng, sizes[number], use_u, kind))

    waiting = [i for i in range(len(sizes)) if i not in done]
    finished = sum(sizes[i] for i in done)
    if progress is not None:
        progress(finished, nsim)

    def results() -> Iterator[Replications]:
        if jobs == 1:
            yield from (chunk(i) for i in waiting)
        else:
            from joblib import Parallel, delayed

            made: Any = Parallel(n_jobs=jobs, return_as="generator")(
                delayed(chunk)(i) for i in waiting
            )
            yield from made

    if path is not None:
        lines = [json.dumps(key) + "\n", *(_line(i, t) for i, t in sorted(done.items()))]
        new = path.with_name(path.name + ".new")  # what is there stays until this is whole
        new.write_text("".join(lines), "utf-8")
        new.replace(path)
    for number, made in zip(waiting, results(), strict=True):
        done[number] = made
        finished += sizes[number]
        if path is not None:
            with path.open("a", encoding="utf-8") as out:
                out.write(_line(number, made))
        if progress is not None:
            progress(finished, nsim)
    t = np.concatenate([done[i].t for i in range(len(sizes))])

    replicated = Bootstrap(
        tuple(names),
        t0,
        t,
        int(seed),
        kind,
        jackknife or _no_jackknife,
        _total(made.errors for made in done.values()),
        _total(made.warnings for made in done.values()),
    )
    if replicated.failed:
        warnings.warn(
            f"some bootstrap runs failed ({replicated.failed}/{nsim})"
            + "".join(f"; {count} error(s): {said}" for said, count in replicated.errors.items()),
            FitWarning,
            stacklevel=from_outside(),
        )
    return replicated


def _no_jackknife() -> Array:
    raise UnsupportedModelError(
        "BCa intervals of a statistic of your own need its jackknife values"
    )


def jackknife_of_parameters(fit: Fit, refit: Without | None = None) -> Array:
    """All parameters without each level of the grouping factor with fewest levels; ``refit`` as of
    :func:`lmerbridge.inference.influence.influence`.
    """
    frame, result = fit.frame, fit.result
    outermost = min(frame.random, key=lambda block: len(block.levels)).group
    deleted = influence(fit, outermost, refit=refit)
    first = dialect_of(result).deviations_first
    relative = result.estimates.relative
    return all_parameters(frame, deleted.beta, deleted.theta, deleted.sigma, first, relative)


def parameter_statistic(
    fit: Fit, many: Callable[[Array], Refits] | None = None
) -> tuple[list[str], Array, Statistic]:
    """Names, values and statistic of all parameters, by fast refits, or by ``many``: refits of the
    responses (n, b).
    """
    from lmerbridge.solve.refits import refit_many

    frame, result = fit.frame, fit.result
    estimates = result.estimates
    names = [p.name for p in parameters(result)]
    first = dialect_of(result).deviations_first  # once: other processes have options of their own
    relative, scale = estimates.relative, np.array([estimates.scale])
    t0 = all_parameters(frame, estimates.beta[None], estimates.theta[None], scale, first, relative)[
        0
    ]

    def values(Y: Array) -> Array:
        if many is not None:
            refits = many(Y)
        else:
            refits = refit_many(frame, Y, result.call.REML, estimates.parameters, fit.products)
        return all_parameters(frame, refits.beta, refits.theta, refits.sigma, first, relative)

    def statistic(Y: Array) -> Replications:
        try:
            return Replications(values(Y))
        except FAILURES:  # of one of them: which?
            errors: Counter[str] = Counter()
            rows = np.full((Y.shape[1], len(names)), np.nan)
            for i in range(Y.shape[1]):
                try:
                    rows[i] = values(Y[:, [i]])[0]
                except FAILURES as error:
                    errors[str(error)] += 1
            return Replications(rows, errors)

    return names, t0, statistic
