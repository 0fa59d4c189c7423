"""Many cases at once, each safe from the others; and work that was interrupted, resumed."""

from __future__ import annotations

import contextlib
import copy
import functools
import multiprocessing
import warnings
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from lmerbridge.crosscheck.cases import Case
from lmerbridge.crosscheck.memory import Memory, open_memory
from lmerbridge.crosscheck.sharing import shared
from lmerbridge.crosscheck.suite import CaseReport, Outcome, run_case
from lmerbridge.crosscheck.verdict import Verdict
from lmerbridge.engines import AUTO_ORDER, is_engine, load_engine, package_of, status_of
from lmerbridge.optional import needed
from lmerbridge.rlang import RCommand, named, take_as_named

__all__ = ["run_cases"]


Run: TypeAlias = tuple[CaseReport, list[str]]  # and the lines that it adds to the memory


def _run(
    case: Case, engines: Sequence[str], memory: Memory | None, known: Sequence[RCommand] = ()
) -> Run:
    take_as_named(known)
    if memory is None:
        return run_case(case, engines), []
    memory.recall_r()
    return run_case(case, engines, memory), memory.taken()


def _child(pipe: Any, *arguments: Any) -> None:
    pipe.send(_run(*arguments))


def _apart(case: Case, engines: Sequence[str], memory: Memory | None) -> Run:
    """A case in a process of its own, which may die."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(
        target=_child, args=(there, case, engines, memory, named()), daemon=True
    )
    process.start()
    there.close()
    try:
        found: Run = here.recv()
    except EOFError:
        process.join()
        code = process.exitcode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit status {code}"
        verdict = Verdict("failed", f"the process that fitted it ended ({how})")
        return CaseReport(case, (Outcome("all", verdict),)), []
    process.join()
    return found


def _pool(
    cases: Sequence[Case], engines: Sequence[str], jobs: int, memory: Memory | None
) -> Generator[Run]:
    """In order; if a worker dies, what is left runs one by one, each in its own process."""
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    done = 0
    try:
        found: Any = Parallel(n_jobs=jobs, return_as="generator")(
            delayed(_run)(case, engines, memory, named()) for case in cases
        )
        for one in found:
            yield one
            done += 1
    except TerminatedWorkerError:
        _end_workers()
        for case in cases[done:]:
            yield _apart(case, engines, memory)


def _helped(
    cases: Sequence[Case], engines: Sequence[str], jobs: int, memory: Memory | None
) -> Generator[Run]:
    """In order, here and by helpers; a case whose helper died is tried again in a process of its
    own.
    """
    handed = copy.deepcopy(memory)  # what this process adds is of other cases
    found = shared(
        len(cases),
        lambda i: _run(cases[i], engines, memory),
        _run,
        lambda i: (cases[i], engines, handed, named()),
        functools.partial(_ready, engines, named()),
        jobs - 1,
        memory is None,  # which may have every fit, so that nothing needs to start
    )
    with contextlib.closing(found):
        for case, one in zip(cases, found, strict=True):
            yield _apart(case, engines, memory) if one is None else one


def _ready(engines: Sequence[str], known: Sequence[RCommand]) -> None:
    """What the first case of a process would wait for: imports, and the start of R."""
    take_as_named(known)
    for name in engines:
        if is_engine(name):
            load_engine(name).begin()
    for name in engines:
        status_of(name)


def _may_run_here(cases: Sequence[Case], engines: Sequence[str]) -> bool:
    """Whether no case can end the process that fits it: R has one of its own, and our engines are
    Python; what another package's engine does is not known.
    """
    return all(package_of(name) in AUTO_ORDER for name in _taking_part(cases, engines))


def _taking_part(cases: Sequence[Case], engines: Sequence[str]) -> list[str]:
    """The engines that run, each once: those asked for and those that cases name."""
    named_by_cases = (e for case in cases for e in (*(case.engines or ()), *case.require))
    return list(dict.fromkeys([*engines, *named_by_cases]))


def _end_workers() -> None:
    """End the workers of a pool that lost one: joblib can leave one behind that waits for ever."""
    import psutil  # joblib's processes have no kill() of their own; without psutil it needs pgrep
    from joblib.externals.loky.backend.process import LokyProcess

    for process in multiprocessing.active_children():
        if isinstance(process, LokyProcess) and process.pid is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(process.pid).kill()
            process.join(10)


def run_cases(
    cases: Sequence[Case],
    engines: Sequence[str],
    jobs: int = 1,
    resume: Path | Memory | None = None,
    progress: Callable[[Case, int], None] | None = None,
    done: list[CaseReport] | None = None,
) -> list[CaseReport]:
    """Run the cases, ``jobs`` at a time, results in order.

    Parameters
    ----------
    jobs : int
        Processes; 1 is this one. This one begins, and the others are started once what is left
        would take longer than they need to start; engines of other packages are run by the others
        alone, and a case whose process dies is reported as failed.
    resume : Path or Memory, optional
        A file (:mod:`lmerbridge.crosscheck.memory`) that each fit is added to as it comes, and from
        which those fits are taken that nothing has changed for. Verdicts are made anew: the reports
        are what a run without the file gives, but for the seconds.
    progress : callable, optional
        Called with the case that is next and the number of those done.
    done : list, optional
        Reports are appended here as they come, so that an interrupt loses none.

    Raises
    ------
    DataError
        ``resume`` is another file, is damaged, or cannot be written.
    MissingPackageError
        ``jobs`` is more than 1, and joblib or psutil is not installed.
    """
    reports = [] if done is None else done
    memory = _opened(resume)
    if memory is not None:
        memory.prepare([e for e in _taking_part(cases, engines) if is_engine(e)])
    if jobs > 1:
        for module in ("joblib", "psutil"):
            needed(module, "parallel", f"work with jobs={jobs}")
    found: Generator[Run]
    if jobs == 1:
        found = (_run(case, engines, memory) for case in cases)
    elif _may_run_here(cases, engines):
        found = _helped(cases, engines, jobs, memory)
    else:
        found = _pool(cases, engines, jobs, memory)
    with contextlib.closing(found):
        for count, case in enumerate(cases):
            if progress is not None:
                progress(case, count)
            report, lines = next(found)
            reports.append(report)
            if memory is not None:
                memory.save(lines)
    if memory is not None:
        memory.keep_r()
    return reports


def _opened(resume: Path | Memory | None) -> Memory | None:
    """The memory, and in this process what R said of itself, if it still would."""
    if resume is None or isinstance(resume, Memory):
        return resume
    memory = open_memory(resume)
    for note in memory.notes:
        warnings.warn(note, stacklevel=3)
    memory.recall_r()
    return memory
