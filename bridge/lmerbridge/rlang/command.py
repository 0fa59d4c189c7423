"""An R, named by what starts it: a path of R's, or a command in place of ``Rscript``."""

from __future__ import annotations

import functools
import os
import shlex
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from lmerbridge.errors import DataError

__all__ = ["RCommand", "command_of", "rscript_name"]


def rscript_name() -> str:
    """What the program is called on this system."""
    return "Rscript.exe" if os.name == "nt" else "Rscript"


@dataclass(frozen=True)
class _Kind:
    """What a program is: whether it is a script, and what is one for all names of one R."""

    script: bool
    same: str


def _kind(program: str) -> _Kind:
    try:
        found = os.stat(program)
    except OSError:
        return _Kind(False, os.path.realpath(program))
    return _looked_at(program, found.st_ino, found.st_mtime_ns)


@functools.lru_cache(maxsize=256)  # it is asked for in every call to R
def _looked_at(program: str, _number: int, _written: int) -> _Kind:
    try:
        with open(program, "rb") as file:
            script = file.read(2) == b"#!"
    except OSError:
        script = False
    return _Kind(script, _same_r(program, script))


def _same_r(program: str, script: bool) -> str:
    """The start script in R's home, to which ``/usr/bin/R`` is a link, and of which
    ``/opt/R/4.6.2/bin/R`` is a copy; what is no Rscript is itself.
    """
    real = Path(os.path.realpath(program))
    if script or Path(program).stem != "Rscript":
        return str(real)
    beside = Path(os.path.realpath(Path(program).parent / "R"))
    prefix = beside.parent.parent
    places = [prefix / lib / "R" / "bin" / "R" for lib in ("lib", "lib64")]
    return str(next((place for place in (*places, beside) if place.is_file()), real))


@dataclass(frozen=True)
class RCommand:
    """What starts an R. Two are equal if they start the same R, or are the same words.

    Attributes
    ----------
    words : tuple of str
        In place of ``Rscript``: its path, or a command such as ``chroot /srv/sid Rscript``.
    """

    _same: tuple[str, ...] = field(repr=False)
    words: tuple[str, ...] = field(compare=False)

    @classmethod
    def of(cls, program: str, *more: str) -> RCommand:
        """Make it of its words; a lone word is a path."""
        words = (program, *more)
        return cls(words if more else (_kind(program).same,), words)

    @property
    def text(self) -> str:
        """How it is written: :func:`command_of` reads it again."""
        return self.words[0] if not self.words[1:] else shlex.join(self.words)

    @property
    def plain(self) -> bool:
        """Whether it is R's own program on this machine, so that R has our files, our sockets and
        our environment. A script, as any longer command, may lead to another file system or to
        another machine: R then has nothing of ours but its standard input and output.
        """
        program = self.words[0]
        if self.words[1:] or not os.path.basename(program).startswith("Rscript"):
            return False
        return not _kind(program).script

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"r({self.text!r})"


def _in_folder(folder: Path) -> Path:
    """Rscript in R's home, in a folder that R was installed to, or in a folder of programs.

    Raises
    ------
    DataError
    """
    name = rscript_name()
    places = (f"bin/{name}", name, f"lib/R/bin/{name}", f"bin/x64/{name}", f"Resources/bin/{name}")
    for place in places:
        if (folder / place).is_file():
            return folder / place
    raise DataError(f"{str(folder)!r} is no R: there is no bin/{name} in this folder")


def _beside(path: Path) -> Path:
    """Rscript itself: what is called R has it beside it.

    Raises
    ------
    DataError
    """
    if path.stem != "R":
        return path
    script = path.parent / rscript_name()
    if not script.is_file():  # /usr/local/bin/R may be a link to it alone
        script = Path(os.path.realpath(path)).parent / rscript_name()
    if not script.is_file():
        raise DataError(f"{str(path)!r} is no R that can be used: it has no Rscript beside it")
    return script


def _of_path(path: Path) -> RCommand:
    script = _in_folder(path) if path.is_dir() else _beside(path)
    if not os.access(script, os.X_OK):
        raise DataError(f"{str(script)!r} is no R: it is not a program")
    return RCommand.of(os.path.abspath(script))


def command_of(text: str) -> RCommand:
    """Read how an R is named: the path of R's home, of ``bin/R`` or of ``bin/Rscript``, or a
    command in place of ``Rscript``, in the words of a shell.

    Raises
    ------
    DataError
        There is no such file or command, or it is no R.
    """
    text = text.strip()
    if not text:
        raise DataError("an R is named by a path or by a command, and this is empty")
    path = Path(text).expanduser()
    try:
        exists = path.exists()
    except OSError:  # too long for a path
        exists = False
    if exists:
        return _of_path(path)
    try:
        words = shlex.split(text, posix=os.name != "nt")
    except ValueError as error:
        raise DataError(f"{text!r} is no command: {error}") from error
    program = shutil.which(os.path.expanduser(words[0]))
    if program is None:
        seems_a_path = len(words) == 1 and any(c in text for c in "/\\")
        what = "file" if seems_a_path else "file or command"
        raise DataError(f"{text!r} is no R: there is no {what} {words[0]!r}")
    if len(words) == 1:
        return _of_path(Path(program))
    if os.name == "nt":
        raise DataError(
            f"{text!r}: a command in place of Rscript needs Linux or macOS; name the folder of an R"
        )
    last = Path(words[-1])
    if last.name == "R":
        words[-1] = str(last.with_name("Rscript"))
    return RCommand.of(*words)
