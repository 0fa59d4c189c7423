"""How each engine does over a suite."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tabulate import tabulate

from lmerbridge.crosscheck.suite import CaseReport, Outcome
from lmerbridge.crosscheck.tolerances import TOLERANCES
from lmerbridge.equality import by_value

__all__ = ["Score", "scorecard", "scorecard_text"]

AGREE = ("agree", "reference", "flat", "boundary", "better optimum")
WORSE = ("other optimum", "not converged")
NONE = ("refused", "unavailable", "failed")
OTHER = ("other data", "other criterion", "unexplained")


@by_value
@dataclass(frozen=True, eq=False)
class Score:
    """One engine over a suite, by the same rules for all.

    Attributes
    ----------
    cases : int
        Models of the suite that can be fitted.
    accepted : int
        That the engine does not refuse.
    agreeing : int
        Agreeing with the reference, or at a better optimum.
    definition, worse, other, failed : int
        The same optimum by other definitions; a worse optimum; other data, another criterion or
        unexplained; errors.
    worst : mapping
        By quantity the worst difference among the fits at the reference's optimum, and its case.
    seconds : float
        Median time of a fit.
    """

    engine: str
    version: str
    cases: int
    accepted: int
    agreeing: int
    definition: int
    worse: int
    other: int
    failed: int
    worst: dict[str, tuple[float, str]]
    seconds: float


def _worst(found: Sequence[tuple[str, Outcome]]) -> dict[str, tuple[float, str]]:
    worst: dict[str, tuple[float, str]] = {}
    for name, outcome in found:
        if outcome.verdict.kind in (*WORSE, *NONE, *OTHER, "better optimum"):
            continue
        for d in outcome.differences:
            if d.difference is not None and d.difference > worst.get(d.quantity, (-1.0, ""))[0]:
                worst[d.quantity] = (d.difference, name)
    return worst


def scorecard(reports: Sequence[CaseReport]) -> list[Score]:
    """A score per engine, best first: most agreeing, then fastest."""
    usable = [r for r in reports if not r.skipped and r.case.error is None]
    engines = list(dict.fromkeys(o.engine for r in usable for o in r.outcomes if o.engine != "all"))
    scores = []
    for engine in engines:
        found = [(r.case.name, o) for r in usable for o in r.outcomes if o.engine == engine]
        kinds = [o.verdict.kind for _, o in found]
        if set(kinds) == {"unavailable"}:
            continue
        seconds = [o.seconds for _, o in found if o.seconds == o.seconds]
        scores.append(
            Score(
                engine,
                found[0][1].version,
                len(usable),
                sum(k not in ("refused", "unavailable") for k in kinds),
                sum(k in AGREE for k in kinds),
                kinds.count("same optimum, other definition"),
                sum(k in WORSE for k in kinds),
                sum(k in OTHER for k in kinds),
                kinds.count("failed"),
                _worst(found),
                statistics.median(seconds) if seconds else float("nan"),
            )
        )
    return sorted(scores, key=lambda s: (-s.agreeing, -s.definition, s.seconds))


def scorecard_text(scores: Sequence[Score], tablefmt: str = "simple") -> str:
    """Two tables: the counts with the median time, and the worst difference per quantity."""
    counts = [
        [
            f"{s.engine} {s.version}".strip(),
            f"{s.accepted} of {s.cases}",
            s.agreeing,
            s.definition,
            s.worse,
            s.other,
            s.failed,
            f"{1000 * s.seconds:.0f} ms",
        ]
        for s in scores
    ]
    headers = [
        "engine",
        "accepted",
        "agreeing",
        "other definition",
        "worse optimum",
        "other or unexplained",
        "failed",
        "median time",
    ]
    quantities = [t.quantity for t in TOLERANCES if t.quantity not in ("nobs", "df")]
    worst = [
        [s.engine, *(f"{s.worst[q][0]:.0e}" if q in s.worst else "" for q in quantities)]
        for s in scores
    ]
    return "\n".join(
        [
            tabulate(counts, headers=headers, tablefmt=tablefmt, disable_numparse=True),
            "",
            "Worst difference from the reference, where the optimum and the model are the same:",
            "",
            tabulate(
                worst, headers=["engine", *quantities], tablefmt=tablefmt, disable_numparse=True
            ),
        ]
    )
