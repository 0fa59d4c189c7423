"""Fits compared with what was recorded on another machine, version or day."""

from __future__ import annotations

import gzip
import json
import platform
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from lmerbridge.crosscheck.cases import Case
from lmerbridge.crosscheck.compare import compare
from lmerbridge.crosscheck.data_change import data_change, in_both
from lmerbridge.crosscheck.quantities import Quantities
from lmerbridge.crosscheck.record import quantities_from_plain, quantities_to_plain
from lmerbridge.crosscheck.snapshot import from_plain, of_data, of_frame, to_plain
from lmerbridge.crosscheck.suite import CaseReport, Outcome, frame_of, read_data
from lmerbridge.crosscheck.verdict import Fact, Verdict
from lmerbridge.crosscheck.versions import changed_versions
from lmerbridge.design import ModelFrame
from lmerbridge.errors import DataError, LmerBridgeError

__all__ = ["against_baseline", "load_baseline", "not_compared", "record_baseline"]

FORMAT = "lmerbridge-baseline/1"
GZIP = b"\x1f\x8b"  # what such a file begins with
BASELINE_NAME = "baseline"
_NOT_WHOLE = (KeyError, TypeError, ValueError, AttributeError)
_OF_BASELINE = ("drift", "incomplete baseline", "unavailable")  # what a case may expect of one
_NONE: Mapping[str, ModelFrame] = {}


Frames: TypeAlias = Mapping[str, ModelFrame]


def _frame(report: CaseReport, frames: Frames) -> ModelFrame | None:
    """The model frame that was fitted: one at hand, or made again from the case's data."""
    case = report.case
    try:
        frame = frames[case.name] if case.name in frames else frame_of(case, read_data(case))
    except LmerBridgeError:
        return None
    return frame if frame.fingerprint == report.fingerprint else None


def _generalized(case: Case) -> dict[str, Any]:
    """What a generalized model has beyond a linear one."""
    return {"family": case.family, "nAGQ": case.nAGQ} if case.family else {}


def _settings(case: Case, frame: ModelFrame | None) -> dict[str, Any]:
    """What was asked for beyond formula, data and REML; without a frame, what is not in it."""
    control = case.control if frame is None else frame.asked.control
    settings: dict[str, Any] = {
        "control": None if control is None or not control.given else str(control),
        "start": None if case.start is None else list(case.start),
    }
    if frame is None:
        return settings
    return {
        "weights": frame.asked.weights_name,
        "offset": frame.asked.offset_name,
        "subset": frame.asked.subset_name,
        "na_action": frame.asked.na_action,
        "contrasts": {name: c.name for name, c in sorted(frame.design.asked_contrasts.items())},
        **settings,
    }


def record_baseline(
    reports: Sequence[CaseReport], path: Path, frames: Frames = _NONE, *, add: bool = False
) -> int:
    """Write the engines' numbers to ``path``; the number of fits recorded.

    Only numbers that are well are recorded: a baseline of wrong ones would keep them. With them
    goes what of the data is needed to say later where it changed. ``frames`` are model frames by
    the name of their case, of those whose data is not in a file. With ``add`` a baseline that is
    there keeps its other models.

    Raises
    ------
    DataError
        The file cannot be written, or with ``add`` is something else than a baseline.
    """
    stamp = {
        "recorded": datetime.now(UTC).isoformat(timespec="seconds"),
        "platform": platform.platform(),
    }
    fits: dict[str, Any] = {}
    if add:
        fits.update(_others(path))
    recorded = 0
    for report in reports:
        own = {
            o.engine: {
                "version": o.version,
                "versions": dict(o.versions),
                "theta": list(o.theta),
                "quantities": quantities_to_plain(o.quantities, all_of_it=True),
            }
            for o in report.outcomes
            if o.quantities is not None and o.well
        }
        if own:
            fit = {
                "formula": report.case.formula,
                "REML": report.case.REML,
                **_generalized(report.case),
                "data": report.case.data,
                "fingerprint": report.fingerprint,
                "engines": own,
            }
            frame = _frame(report, frames)
            if frame is not None:
                fit["settings"] = _settings(report.case, frame)
                fit["columns"] = to_plain(of_frame(frame))
            fits[report.case.name] = fit
            recorded += len(own)
    record = {"format": FORMAT, **stamp, "fits": fits}
    new = path.with_name(path.name + ".new")  # what is there stays until this is whole
    written = (json.dumps(record, separators=(",", ":")) + "\n").encode()
    if path.suffix == ".gz":
        written = gzip.compress(written, mtime=0)  # the same bytes for the same numbers
    try:
        new.write_bytes(written)
        new.replace(path)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}") from error
    return recorded


def _others(path: Path) -> dict[str, Any]:
    """The fits of the baseline that is there, each with when and where it was recorded; none of one
    that cannot be used.
    """
    if not path.exists():
        return {}
    try:
        before = _read(path)
    except DataError as error:
        raise DataError(f"{error}; it stays as it is: remove it, or name another file") from error
    try:
        _see_that_it_is_whole(before)
    except _NOT_WHOLE:
        return {}
    return {name: {**_stamp(before), **fit} for name, fit in before["fits"].items()}


def _read(path: Path) -> dict[str, Any]:
    try:
        found = path.read_bytes()
        text = (gzip.decompress(found) if found.startswith(GZIP) else found).decode("utf-8")
    except FileNotFoundError as error:
        raise DataError(f"there is no baseline {path}") from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        what = (error.strerror if isinstance(error, OSError) else "") or "it is no text"
        raise DataError(f"{path} cannot be read as a baseline: {what}") from error
    try:
        record: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no baseline: {error}") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise DataError(f"{path} is no baseline: it lacks format = {FORMAT!r}")
    return record


def load_baseline(path: Path, by: str = "lmerbridge check --record") -> dict[str, Any]:
    """A recorded baseline.

    Parameters
    ----------
    by : str
        The command that records one, for messages.

    Raises
    ------
    DataError
        There is none, or it is not one.
    """
    try:
        record = _read(path)
    except DataError as error:
        raise DataError(f"{error}; record one by: {by}") from error
    try:
        _see_that_it_is_whole(record)
    except _NOT_WHOLE as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(
            f"{path} is no baseline that can be used: {what}; record it again by: {by}"
        ) from error
    return record


def _stamp(found: Mapping[str, Any]) -> dict[str, Any]:
    """When and where a baseline was recorded, or a model that was added to one."""
    return {key: found[key] for key in ("recorded", "platform") if key in found}


def _see_that_it_is_whole(record: Mapping[str, Any]) -> None:
    """Raise what Python raises where something is not there, or is not what it should be."""
    _texts(record, "recorded", "platform")
    for fit in record["fits"].values():
        _texts(fit, "formula", "fingerprint")
        _ = fit["REML"], dict(fit.get("settings", {}))
        for own in fit["engines"].values():
            _texts(own, "version")
            _ = dict(own.get("versions", {}))
            values = quantities_from_plain(own["quantities"]).values
            for quantity in ("nobs", "criterion"):
                _ = values[quantity][quantity]


def _texts(found: Mapping[str, Any], *names: str) -> None:
    for name in names:
        if not isinstance(found[name], str):
            raise TypeError(f"its {name!r} is no text")


def _drift(
    outcome: Outcome, before: Quantities, own: Mapping[str, Any], stamp: Mapping[str, Any]
) -> Verdict:
    """The verdict on an engine that gives other numbers for the same data and model."""
    assert outcome.quantities is not None
    gap = (
        outcome.quantities.values["criterion"]["criterion"]
        - before.values["criterion"]["criterion"]
    )
    then, now = {outcome.engine: own["version"]}, {outcome.engine: outcome.version}
    if "versions" in own:
        moved = changed_versions({**then, **own["versions"]}, {**now, **outcome.versions})
    else:
        then["platform"], now["platform"] = stamp["platform"], platform.platform()
        moved = f"{changed_versions(then, now)}; other versions are not in this baseline"
    return Verdict(
        "drift",
        f"{outcome.engine} gives other numbers than the baseline for the same data and model; "
        f"its criterion moved by {gap:+.2g}; {moved}",
        (Fact(f"recorded {stamp['recorded']} on {stamp['platform']}"),),
    )


@dataclass(frozen=True)
class _Change:
    """What is not as in the baseline, of a case: the model's settings, and whether the data is."""

    model: tuple[Fact, ...] = ()
    data: bool = False

    @property
    def verdict(self) -> Verdict | None:
        if self.model:
            return Verdict("other model", "the model is not the one of the baseline", self.model)
        if self.data:
            return Verdict(
                "other data",
                "the data is not that of the baseline, so that a difference says nothing of the "
                "engine",
            )
        return None


def _change(report: CaseReport, kept: Mapping[str, Any], frame: ModelFrame | None) -> _Change:
    case = report.case
    then: dict[str, Any] = {"formula": kept["formula"], "REML": kept["REML"]}
    now: dict[str, Any] = {"formula": case.formula, "REML": case.REML}
    if case.family or "family" in kept:
        then |= {"family": kept.get("family", ""), "nAGQ": kept.get("nAGQ", 1)}
        now |= {"family": case.family, "nAGQ": case.nAGQ}
    if "settings" in kept:
        then |= kept["settings"]
        now |= _settings(case, frame)
    facts = tuple(
        Fact(f"{what}: {then[what]!r} then, {now[what]!r} now")
        for what in now
        if then.get(what) != now[what]
    )
    return _Change(facts, kept["fingerprint"] != report.fingerprint)


def _located(
    report: CaseReport, kept: Mapping[str, Any], frame: ModelFrame | None, other_model: bool
) -> str:
    """What changed of the data, where the model frame is not the same; ``""``: nothing."""
    if "columns" not in kept:
        rows = {int(f["quantities"]["values"]["nobs"]["nobs"]) for f in kept["engines"].values()}
        return (
            "data: it changed, and this baseline does not hold its columns, so that it cannot say "
            f"where ({', '.join(map(str, sorted(rows)))} rows used then); record it again"
        )
    try:
        now = of_data(read_data(report.case)) if frame is None else of_frame(frame)
    except LmerBridgeError:
        return ""
    try:
        then = from_plain(kept["columns"])
    except DataError as error:
        return f"data: it changed, and this baseline cannot say where: {error}; record it again"
    if other_model:
        then, now = in_both(then, now)
    change = data_change(then, now)
    return f"data: {change}" if change else ""


def _before(own: Mapping[str, Any], now: Quantities) -> Quantities:
    """The baseline's numbers, without those that it says the engine did not have and now has."""
    quantities = quantities_from_plain(own["quantities"])
    values = {
        k: v for k, v in quantities.values.items() if k not in quantities.absent or k in now.absent
    }
    return replace(quantities, values=values, source="the baseline")


def _judged(
    outcome: Outcome,
    report: CaseReport,
    kept: Mapping[str, Any],
    stamp: Mapping[str, Any],
    change: _Change,
) -> Outcome:
    own = kept["engines"].get(outcome.engine)
    # of its numbers, the verdicts that the case expects are of those against other engines
    expected = tuple(kind for kind in outcome.expected if kind in _OF_BASELINE)
    quantities = outcome.quantities
    if quantities is None:
        if own is None or outcome.verdict.kind in outcome.expected:
            return outcome
        verdict = Verdict(
            "failed",
            f"{outcome.engine} gave numbers for the baseline, and now: {outcome.verdict.sentence}",
        )
        return replace(outcome, verdict=verdict, against=BASELINE_NAME, expected=expected)
    if own is None:
        return replace(
            outcome, notes=(*outcome.notes, f"the baseline has no fit by {outcome.engine}")
        )
    changed = change.verdict
    outcome = replace(outcome, against=BASELINE_NAME, expected=expected)
    if changed is not None:
        # other numbers are to be expected, and no difference between them means anything
        return replace(outcome, verdict=changed, differences=())
    before = _before(own, quantities)
    lacking = [q for q in quantities.values if q not in before.values]
    differences = tuple(
        replace(d, problem=f"{outcome.engine} no longer has it: {gone}")
        if (gone := quantities.absent.get(d.quantity)) and d.quantity not in before.absent
        else d
        for d in compare(before, quantities, report.case.tolerances)
    )
    if not all(d.agrees for d in differences):
        verdict = _drift(outcome, before, own, stamp)
    elif lacking:
        verdict = Verdict(
            "incomplete baseline",
            f"{outcome.engine} agrees with what the baseline has, but it lacks "
            f"{', '.join(lacking)}: record it again",
        )
    else:
        verdict = Verdict("agree", f"{outcome.engine} agrees with the baseline")
    return replace(outcome, verdict=verdict, differences=differences)


def _against(
    report: CaseReport, kept: Mapping[str, Any], stamp: Mapping[str, Any], frames: Frames
) -> CaseReport:
    same = report.fingerprint == kept["fingerprint"]
    frame = None if same else _frame(report, frames)
    change = _change(report, kept, frame)
    located = ""
    if not (same or report.skipped):
        located = _located(report, kept, frame, bool(change.model))
    if not located and change.data and not change.model and report.fingerprint:
        located = (
            "data: the columns are the same, and the model frame that this version of lmerbridge "
            "makes of them is another"
        )
    outcomes = tuple(_judged(o, report, kept, stamp, change) for o in report.outcomes)
    return replace(report, outcomes=outcomes, change=located)


def not_compared(
    reports: Sequence[CaseReport], baseline: Mapping[str, Any], engines: Sequence[str] = ()
) -> list[str]:
    """What the baseline has and the reports do not, in sentences; of the engines that are named."""
    models = {r.case.name: {o.engine for o in r.outcomes} for r in reports}
    sentences = []
    gone = [name for name in baseline["fits"] if name not in models]
    if gone:
        sentences.append(f"the baseline has models that were not run: {', '.join(gone)}")
    without: dict[str, list[str]] = {}
    for name, fit in baseline["fits"].items():
        for engine in fit["engines"]:
            took_part = models.get(name, {engine})
            if engine not in took_part and "all" not in took_part:
                without.setdefault(engine, []).append(name)
    for engine, names in without.items():
        if not engines or engine in engines:
            sentences.append(
                f"the baseline has fits by {engine} that were not made: {', '.join(names)}"
            )
    return sentences


def against_baseline(
    reports: Sequence[CaseReport], baseline: Mapping[str, Any], frames: Frames = _NONE
) -> list[CaseReport]:
    """Each report judged against the baseline: agreement, drift of the engine, change of the data,
    or change of the model. A model that the baseline lacks keeps its verdicts, with a note.

    ``frames`` as for :func:`record_baseline`.
    """
    compared = []
    for report in reports:
        kept = baseline["fits"].get(report.case.name)
        if kept is None:
            outcomes = tuple(
                replace(o, notes=(*o.notes, "the baseline has no such model"))
                for o in report.outcomes
            )
            compared.append(replace(report, outcomes=outcomes))
        else:
            compared.append(_against(report, kept, {**_stamp(baseline), **_stamp(kept)}, frames))
    return compared
