"""The bootstrap of a fitted model: lme4's ``bootMer``, with intervals.

Efron & Tibshirani (1993), *An Introduction to the Bootstrap*: percentile (section 13.3), basic
(Davison & Hinkley 1997, equation 5.6), normal, and BCa (section 14.3) intervals. Work goes chunk by
chunk; each chunk has its own random stream made of the seed and its number, so that neither the
number of processes nor an interruption changes a result.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.design import ModelFrame
from lmerbridge.errors import DataError, UnsupportedModelError
from lmerbridge.inference.effects import NA, chosen_effects
from lmerbridge.inference.influence import influence
from lmerbridge.inference.predict import as_rows, predictions
from lmerbridge.inference.profile import parameters
from lmerbridge.inference.simulate import draw
from lmerbridge.result import FitResult

__all__ = [
    "INTERVALS",
    "Bootstrap",
    "all_parameters",
    "bootstrap",
    "jackknife_of_parameters",
    "parameter_statistic",
    "responses",
]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
# responses (n, b) to statistics (b, q); NaN where one could not be computed
Statistic: TypeAlias = Callable[[Array], Array]

INTERVALS = ("perc", "basic", "norm", "bca")
CHUNK = 100


@dataclass(frozen=True)
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
    """

    names: tuple[str, ...]
    t0: Array
    t: Array
    seed: int
    kind: str
    jackknife: Callable[[], Array]

    @property
    def failed(self) -> int:
        """Replications that gave no number."""
        return int(np.isnan(self.t).any(axis=1).sum())

    def table(self) -> pd.DataFrame:
        """``original``, ``bias``, ``std_error`` by statistic, as R prints them."""
        good = self.t[~np.isnan(self.t).any(axis=1)]
        return pd.DataFrame(
            {
                "original": self.t0,
                "bias": good.mean(axis=0) - self.t0,
                "std_error": good.std(axis=0, ddof=1),
            },
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
            Unknown type, a level outside (0, 1), or too few replications.
        """
        if type not in INTERVALS:
            raise DataError(f"boot_type must be one of {', '.join(INTERVALS)}, not {type!r}")
        if not 0 < level < 1:
            raise DataError(f"level must be between 0 and 1, not {level}")
        rows = []
        cuts = (0.5 - level / 2, 0.5 + level / 2)
        jackknife = self.jackknife() if type == "bca" else None
        for j, t0 in enumerate(self.t0):
            t = self.t[:, j]
            t = np.sort(t[~np.isnan(t)])
            if len(t) < 2:
                raise DataError("too few replications gave a number")
            rows.append(
                _interval(t, float(t0), cuts, type, None if jackknife is None else jackknife[:, j])
            )
        columns = [_percent(c) for c in cuts]
        return pd.DataFrame(rows, index=list(self.names), columns=columns)


def _percent(cut: float) -> str:
    return f"{100 * cut:.3g} %"


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
    found = []
    for c in cuts:
        z = z0 + float(ndtri(c))
        found.append(_quantile(t, float(ndtr(z0 + z / (1 - a * z)))))
    return found


def all_parameters(frame: ModelFrame, beta: Array, theta: Array, sigma: Array) -> Array:
    """Standard deviations and correlations, sigma and fixed effects (B, q), in lme4's order."""
    parts: list[Array] = []
    start = 0
    for block in frame.random:
        k = len(block.names)
        count = k * (k + 1) // 2
        L = np.zeros((len(theta), k, k))
        rows, columns = np.triu_indices(k)
        L[:, columns, rows] = theta[:, start : start + count]
        start += count
        S = (sigma**2)[:, None, None] * (L @ np.swapaxes(L, 1, 2))
        sd = np.sqrt(np.diagonal(S, axis1=1, axis2=2))
        for column in range(k):
            for row in range(column, k):
                if row == column:
                    parts.append(sd[:, row])
                else:
                    with np.errstate(divide="ignore", invalid="ignore"):
                        parts.append(S[:, row, column] / (sd[:, row] * sd[:, column]))
    return np.column_stack([*parts, sigma, beta])


def responses(
    frame: ModelFrame,
    result: FitResult,
    rng: np.random.Generator,
    count: int,
    use_u: bool,
    kind: str,
) -> Array:
    """``count`` bootstrap responses (n, count)."""
    estimates = result.estimates
    if kind == "semiparametric":
        drawn = rng.integers(0, frame.nobs, (frame.nobs, count))
        return np.asarray(estimates.fitted[:, None] + estimates.residuals[drawn])
    rows = as_rows(frame)
    chosen = chosen_effects(frame, None if use_u else NA)
    mean = predictions(result, rows, chosen)
    levels = [len(b.levels) for b in frame.random]
    return draw(rng, rows, mean, estimates.theta, estimates.sigma, levels, chosen, count)


def _stored(path: Path, key: dict[str, Any]) -> dict[int, Array]:
    """Chunks that an interrupted run has left in ``path``."""
    if not path.exists():
        return {}
    found: dict[int, Array] = {}
    lines = path.read_text("utf-8").splitlines()
    try:
        head = json.loads(lines[0]) if lines else key
    except ValueError as error:
        raise DataError(f"{path} holds no bootstrap: {error}") from error
    if head != key:
        raise DataError(
            f"{path} holds another bootstrap (another model, data, seed or statistic); "
            "name another file, or remove it"
        )
    for line in lines[1:]:
        try:
            record = json.loads(line)
        except ValueError:  # the last line of a run that was killed while writing
            break
        values = [[math.nan if v is None else v for v in row] for row in record["t"]]
        found[int(record["chunk"])] = np.array(values, dtype=np.float64)
    return found


def _line(number: int, t: Array) -> str:
    rows = [[None if math.isnan(v) else v for v in row] for row in t.tolist()]
    return json.dumps({"chunk": number, "t": rows}) + "\n"


def bootstrap(
    frame: ModelFrame,
    result: FitResult,
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
    use_u : bool
        Whether the conditional modes are kept, and only residuals drawn.
    type : str
        ``parametric``: new (random effects and) normal residuals. ``semiparametric``: the
        residuals are drawn from those of the fit, which needs ``use_u=True``.
    jobs : int
        Processes (joblib).
    resume : path, optional
        A file that keeps what is done.

    Raises
    ------
    DataError, UnsupportedModelError
    """
    if type not in ("parametric", "semiparametric"):
        raise DataError(f"type must be 'parametric' or 'semiparametric', not {type!r}")
    if type == "semiparametric" and not use_u:
        raise UnsupportedModelError(
            "a semiparametric bootstrap draws residuals around the fitted values: use_u=True"
        )
    if not isinstance(nsim, (int, np.integer)) or nsim < 1:
        raise DataError(f"nsim must be a positive whole number, not {nsim!r}")
    sizes = [min(CHUNK, nsim - start) for start in range(0, nsim, CHUNK)]
    key = {
        "fingerprint": frame.fingerprint,
        "theta": result.estimates.theta.tolist(),
        "seed": int(seed),
        "nsim": int(nsim),
        "names": list(names),
        "use_u": use_u,
        "type": type,
    }
    path = None if resume is None else Path(resume)
    done = {} if path is None else _stored(path, key)

    def chunk(number: int) -> Array:
        # spawned by number, so that each chunk is the same whatever came before it
        rng = np.random.default_rng(np.random.SeedSequence([int(seed), number]))
        return statistic(responses(frame, result, rng, sizes[number], use_u, type))

    waiting = [i for i in range(len(sizes)) if i not in done]
    finished = sum(sizes[i] for i in done)
    if progress is not None:
        progress(finished, nsim)

    def results() -> Iterator[Array]:
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
        path.write_text("".join(lines), "utf-8")
    for number, t in zip(waiting, results(), strict=True):
        done[number] = t
        finished += sizes[number]
        if path is not None:
            with path.open("a", encoding="utf-8") as out:
                out.write(_line(number, t))
        if progress is not None:
            progress(finished, nsim)
    t = np.concatenate([done[i] for i in range(len(sizes))])

    def without_groups() -> Array:
        if jackknife is None:
            raise UnsupportedModelError(
                "BCa intervals of a statistic of your own need its jackknife values"
            )
        return jackknife()

    return Bootstrap(tuple(names), t0, t, int(seed), type, without_groups)


def jackknife_of_parameters(frame: ModelFrame, result: FitResult) -> Array:
    """All parameters without each level of the grouping factor with fewest levels."""
    outermost = min(frame.random, key=lambda block: len(block.levels)).group
    found = influence(frame, result, outermost)
    return all_parameters(frame, found.beta, found.theta, found.sigma)


def parameter_statistic(frame: ModelFrame, result: FitResult) -> tuple[list[str], Array, Statistic]:
    """Names, values and statistic of all parameters, by fast refits."""
    from lmerbridge.engines.native.refits import refit_many

    estimates = result.estimates
    names = [p.name for p in parameters(result)]
    t0 = all_parameters(
        frame, estimates.beta[None], estimates.theta[None], np.array([estimates.sigma])
    )[0]

    def statistic(Y: Array) -> Array:
        found = refit_many(frame, Y, result.call.REML, estimates.theta)
        return all_parameters(frame, found.beta, found.theta, found.sigma)

    return names, t0, statistic
