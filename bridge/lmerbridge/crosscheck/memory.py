"""What earlier runs fitted, in a file: ``lmerbridge check --resume FILE``.

A line holds one fit whole, under a key that is a digest of all that the fit depends on: the model
frame (the data as the model sees them, the formula, and every argument), how it was asked to be
fitted, the engine and its version, R's and its packages', this package, Python's packages, the
platform. What differs in any of them is not found, and is fitted. Verdicts are not kept: every run
judges anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from lmerbridge.crosscheck.identity import engine_identity
from lmerbridge.design import ModelFrame
from lmerbridge.digest import digest, own_code
from lmerbridge.engines import FitSpec
from lmerbridge.errors import DataError
from lmerbridge.result import FitResult, from_json, to_json
from lmerbridge.rlang import r_traces, r_versions, recall

__all__ = ["Kept", "Memory", "open_memory"]

FORMAT = "lmerbridge-fits/1"
_ANY_BEGINNING = b'{"format": "lmerbridge-fits/'
_BEGINNING = f'{{"format": "{FORMAT}", "key": "'.encode()


@dataclass(frozen=True)
class Kept:
    """A fit of an earlier run, or of this one: the result and the seconds it took."""

    result: FitResult
    seconds: float


@dataclass
class Memory:
    """The fits of a file. It may be sent to another process: that one reads, and hands over what it
    fits (:meth:`taken`), so that one process alone writes.

    Attributes
    ----------
    path : Path
    notes : list of str
        What was not as it should be when the file was opened, and what was done about it.
    """

    path: Path
    notes: list[str] = field(default_factory=list)
    _places: dict[str, tuple[int, int]] = field(default_factory=dict)
    _identities: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    _fresh: list[str] = field(default_factory=list)
    _writes: bool = True

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_fresh": [], "_writes": False}

    def prepare(self, engines: Sequence[str]) -> None:
        """Find out, in this process and once, what the engines' fits depend on."""
        for name in engines:
            if name not in self._identities:
                self._identities[name] = engine_identity(name)

    def key(self, frame: ModelFrame, spec: FitSpec, engine: str) -> str | None:
        """What the engine's fit of this model depends on, as a digest; ``None`` if that cannot be
        said, so that the fit is never taken from the file.
        """
        self.prepare([engine])
        identity = self._identities[engine]
        if identity is None:
            return None
        try:
            return digest(frame, spec, identity)
        except TypeError:
            return None

    def find(self, key: str | None) -> Kept | None:
        """The fit with this key."""
        body = self._read(key)
        if body is None:
            return None
        try:
            return Kept(from_json(body["result"]), float(body["seconds"]))
        except (DataError, KeyError, TypeError, ValueError):
            return None  # no result of this version, though its code has not changed

    def keep(self, key: str | None, kept: Kept) -> None:
        """Remember a fit, if it is the same when it is read again; one that cannot be written now
        stays among what :meth:`taken` gives.
        """
        text = _faithful(kept.result)
        if key is not None and text is not None:
            body = {
                "engine": kept.result.provenance.engine,
                "formula": kept.result.call.formula,
                "seconds": kept.seconds,
                "result": text,
            }
            self._fresh.append(_line(key, body))
            if self._writes:
                with contextlib.suppress(DataError):
                    self.save(self._fresh)
                    self._fresh = []

    def taken(self) -> list[str]:
        """The lines to be written by the process that writes; they are the caller's now."""
        lines, self._fresh = self._fresh, []
        return lines

    def save(self, lines: Sequence[str]) -> None:
        """Add lines to the file, those that another process has handed over among them.

        Raises
        ------
        DataError
            The file cannot be written.
        """
        for line in lines:
            content = line.encode()
            with _writing(self.path, "ab") as file:
                file.seek(0, os.SEEK_END)
                start = file.tell()
                file.write(content + b"\n")
            self._places[json.loads(line)["key"]] = (start, len(content))

    def recall_r(self) -> None:
        """Take from the file what R says of its versions, if all that R leaves in the file system
        is as it was then; else R will be asked.
        """
        body = self._read(_r_key())
        if body is not None and r_traces(body["versions"]) == body["traces"]:
            recall(body["versions"])

    def keep_r(self) -> None:
        """Keep what the R in use says of its versions, if an engine in it took part."""
        key = _r_key()
        if key is None or not any(
            found and found["R in use"] for found in self._identities.values()
        ):
            return
        versions = dict(r_versions())
        body = {"versions": versions, "traces": r_traces(versions)}
        if self._read(key) != body:
            self.save([_line(key, body)])

    def _read(self, key: str | None) -> Any:
        """What was kept under the key, if it is still in the file as it was written."""
        place = None if key is None else self._places.get(key)
        if place is None:
            return None
        try:
            with self.path.open("rb") as file:
                file.seek(place[0])
                line = file.read(place[1])
        except OSError:
            return None
        return json.loads(line)["kept"] if _key_of(line) == key else None


def _faithful(result: FitResult) -> str | None:
    """The result as JSON; ``None`` if that does not hold all of it, as of an engine whose numbers
    are of other types than the schema's.
    """
    try:
        text = to_json(result)
        return text if digest(from_json(text)) == digest(result) else None
    except (DataError, TypeError, ValueError):
        return None


def _r_key() -> str | None:
    """The key of what the R that would be used says of its versions."""
    traces = r_traces()
    return None if traces is None else digest(traces, own_code())


@contextlib.contextmanager
def _writing(path: Path, mode: str) -> Iterator[IO[bytes]]:
    try:
        with path.open(mode) as file:
            yield file
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}") from error


def _sum(key: str, body: Any) -> str:
    return hashlib.sha256(json.dumps([key, body], sort_keys=True).encode()).hexdigest()


def _line(key: str, body: dict[str, Any]) -> str:
    return json.dumps({"format": FORMAT, "key": key, "sum": _sum(key, body), "kept": body})


def _key_of(line: bytes) -> str | None:
    """The key of a line of ours; ``None`` if it is none, or not as it was written."""
    try:
        entry = json.loads(line)
        key: str = entry["key"]
        whole = entry["format"] == FORMAT and entry["sum"] == _sum(key, entry["kept"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return key if whole else None


def _is_old(line: bytes) -> bool:
    """Whether a line is of the format before this one, which kept verdicts."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(entry, dict) and set(entry) == {"key", "report"}


def _is_begun(line: bytes) -> bool:
    """Whether a line, which is not whole, is the beginning of one of ours."""
    return line.startswith(_BEGINNING[: len(line)])


def _lines(content: bytes) -> list[tuple[int, bytes]]:
    """Each line with its place; the last may lack its end."""
    found = []
    place = 0
    for line in content.split(b"\n"):
        if line.strip():
            found.append((place, line))
        place += len(line) + 1
    return found


def open_memory(path: Path) -> Memory:
    """The memory in a file, which is made with the first fit if there is none.

    The end of a line that was being written when a run was ended is taken away; a file of the
    format that kept verdicts begins anew. Both are said in ``notes``.

    Raises
    ------
    DataError
        The file cannot be read, or is something else, or a line in it is damaged.
    """
    memory = Memory(path)
    try:
        content = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    lines = _lines(content)
    if lines and all(_is_old(line) for _, line in lines[:-1] or lines):
        memory.notes.append(
            f"{path} is of an earlier version, which did not keep what its fits depended on: it "
            "begins anew, and every model is fitted"
        )
        with _writing(path, "wb"):
            return memory
    for place, line in lines:
        key = _key_of(line)
        if key is not None:
            memory._places[key] = (place, len(line))
        elif place + len(line) == len(content) and _is_begun(line):
            memory.notes.append(
                f"the last line of {path} was cut off when a run was ended; what it was to hold is "
                "fitted again"
            )
            with _writing(path, "r+b") as file:
                file.truncate(place)
            return memory
        else:
            number = content[:place].count(b"\n") + 1
            what = (
                "of another version of lmerbridge"
                if line.startswith(_ANY_BEGINNING) and not line.startswith(_BEGINNING)
                else "damaged"
                if line.startswith(_BEGINNING)
                else "something else"
            )
            raise DataError(
                f"{path}:{number} is not a line of an earlier run, but {what}; remove the file to "
                "fit every model again, or name another"
            )
    if content and not content.endswith(b"\n"):
        with _writing(path, "ab") as file:
            file.write(b"\n")
    return memory
