"""Where in memory lme4's code lies, which decides the last bits of its results.

With several grouping factors, lme4 (1.1-31 at least) takes one of two elimination orders by bit 31
of the address at which its library was loaded. Linux draws that address anew for every process:
the same R, run twice, gives answers about 1e-10 apart. For one result from all transports,
processes and runs the bit is always set here: a process of ours is started again until it is, and
in this process the addresses without it are kept taken while lme4 is loaded. Where that cannot be
done, and on other systems, lme4's answer is as good, but its last bits are chance's.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

__all__ = ["lme4_well_placed", "started_well_placed"]

LIBRARY_BIT = 1 << 31
LIBRARIES_BYTES = 1 << 29  # bytes, more than is loaded between the first library and lme4's
MAX_STARTS = 20
LIBRARY_PATH = re.compile(r"/[^/]*\.so[^/]*$")
SCRIPT_SECONDS = 1.0  # seconds that a script may take to become the program
# Bytes: a library is laid into the highest gap that has room for it, so that every size counts,
# from less than lme4's library has to more than lies between libraries.
FILLER_BYTES = tuple(1 << power for power in range(26, 17, -1))
MAX_FILLERS = 1 << 12


class _Process(Protocol):
    @property
    def number(self) -> int: ...

    def kill(self) -> None: ...

    def close(self) -> None: ...


Started = TypeVar("Started", bound=_Process)


def started_well_placed(start: Callable[[], Started], program: str | None = None) -> Started:
    """A process whose libraries will lie as wanted, if Linux allows it in so many tries.

    Parameters
    ----------
    start : callable
        Starts it.
    program : str, optional
        The name of the program that what is started becomes at last, where that is a script.
    """
    process = start()
    if sys.platform != "linux":
        return process
    before = None
    try:
        for _ in range(MAX_STARTS):
            highest = _highest(process.number, program)
            if (
                highest is None
                or highest == before
                or (highest - LIBRARIES_BYTES) & highest & LIBRARY_BIT
            ):
                break
            process.kill()
            process.close()
            process, before = start(), highest
    except BaseException:  # Ctrl-C
        process.kill()
        raise
    return process


def _highest(number: int, program: str | None) -> int | None:
    """The address of the library that the kernel itself loads; others come below it."""
    folder = Path(f"/proc/{number}")
    end = time.monotonic() + SCRIPT_SECONDS
    while time.monotonic() < end:
        try:
            if program is None or (folder / "exe").readlink().name == program:
                lines = (folder / "maps").read_text(errors="replace").splitlines()
                found = [int(x.split("-", 1)[0], 16) for x in lines if LIBRARY_PATH.search(x)]
                if found:  # else it is only about to become the program
                    return max(found)
        except OSError:  # it has ended
            return None
        time.sleep(0.001)
    return None


@contextlib.contextmanager
def lme4_well_placed() -> Iterator[None]:
    """While R, in this process, loads lme4: takes the addresses that it should not get.

    They are taken without memory, and given back at the end.
    """
    taken: list[mmap.mmap] = []
    if sys.platform == "linux":
        with contextlib.suppress(OSError, ValueError):  # a limit on addresses, say
            for size in _sizes():
                taken.append(_mapped(size, 0))
    try:
        yield
    finally:
        for part in taken:
            part.close()


def _sizes() -> Iterator[int]:
    """What to take, one after the other: first everything below, then gaps between libraries."""
    size = _next_free(FILLER_BYTES[0]) % LIBRARY_BIT + 2 * FILLER_BYTES[0]
    for room in FILLER_BYTES:
        for _ in range(MAX_FILLERS):
            if _next_free(room) & LIBRARY_BIT:
                break
            yield size
            size = room
        size = room // 2


def _mapped(size: int, prot: int) -> mmap.mmap:
    return mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot)


def _next_free(size: int) -> int:
    """Where a library of this size that is loaded now would lie."""
    with contextlib.closing(_mapped(size, mmap.PROT_READ | mmap.PROT_WRITE)) as found:
        start = ctypes.c_char.from_buffer(found)
        address = ctypes.addressof(start)
        del start
    return address
