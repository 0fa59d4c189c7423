"""Many cases at once, each safe from the others; and work that was interrupted, resumed."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lmerbridge.crosscheck.cases import Case
from lmerbridge.crosscheck.record import case_key, from_plain, to_plain
from lmerbridge.crosscheck.suite import CaseReport, Outcome, run_case
from lmerbridge.crosscheck.verdict import Verdict
from lmerbridge.errors import DataError

__all__ = ["run_cases"]


def _child(pipe: Any, case: Case, engines: Sequence[str]) -> None:
    pipe.send(run_case(case, engines))


def _apart(case: Case, engines: Sequence[str]) -> CaseReport:
    """A case in a process of its own, which may die."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(there, case, engines), daemon=True)
    process.start()
    there.close()
    try:
        report: CaseReport = here.recv()
    except EOFError:
        process.join()
        code = process.exitcode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit status {code}"
        verdict = Verdict("failed", f"the process that fitted it ended ({how})")
        return CaseReport(case, (Outcome("all", verdict),))
    process.join()
    return report


def _pool(cases: Sequence[Case], engines: Sequence[str], jobs: int) -> Iterator[CaseReport]:
    """In order; if a worker dies, what is left runs one by one, each in its own process."""
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    done = 0
    try:
        found: Any = Parallel(n_jobs=jobs, return_as="generator")(
            delayed(run_case)(case, engines) for case in cases
        )
        for report in found:
            yield report
            done += 1
    except TerminatedWorkerError:
        for case in cases[done:]:
            yield _apart(case, engines)


def _load(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if not path.is_file():
        return found
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        try:
            entry = json.loads(line)
            found[entry["key"]] = entry["report"]
        except (ValueError, KeyError, TypeError) as error:
            # the last line of an interrupted run may be cut off
            if number < len(path.read_text("utf-8").splitlines()):
                raise DataError(f"{path}:{number} is not a line of an earlier run") from error
    return {key: found[key] for key in keys if key in found}


def run_cases(
    cases: Sequence[Case],
    engines: Sequence[str],
    jobs: int = 1,
    resume: Path | None = None,
    progress: Callable[[Case, int], None] | None = None,
    done: list[CaseReport] | None = None,
) -> list[CaseReport]:
    """Run the cases, ``jobs`` at a time, results in order.

    Parameters
    ----------
    jobs : int
        Processes; 1 is this one. A case whose process dies is reported as failed.
    resume : Path, optional
        A file of JSON lines that each report is added to as it comes, and from which those that
        are there already are taken.
    progress : callable, optional
        Called with the case that is next and the number of those done.
    done : list, optional
        Reports are appended here as they come, so that an interrupt loses none.
    """
    reports = [] if done is None else done
    keys = [case_key(case, tuple(engines)) for case in cases]
    known = {} if resume is None else _load(resume, keys)
    waiting = [case for case, key in zip(cases, keys, strict=True) if key not in known]
    fresh = (
        (run_case(case, engines) for case in waiting)
        if jobs == 1
        else _pool(waiting, engines, jobs)
    )
    for count, (case, key) in enumerate(zip(cases, keys, strict=True)):
        if progress is not None:
            progress(case, count)
        if key in known:
            reports.append(from_plain(case, known[key]))
            continue
        report = next(fresh)
        reports.append(report)
        if resume is not None:
            line = json.dumps({"key": key, "report": to_plain(report)})
            with resume.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
    return reports
