"""The R installations that there are: where they are looked for, and what each says of itself."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lmerbridge.errors import DataError
from lmerbridge.rlang.command import RCommand, command_of, rscript_name
from lmerbridge.rlang.discover import (
    RInstallation,
    RpyProblem,
    find_r,
    r_in_use,
    registered,
    usual_places,
)

__all__ = [
    "Installation",
    "find_installations",
    "forget",
    "named",
    "names_a_version",
    "probed",
    "r",
    "r_of",
    "take_as_named",
]

INSTALLATIONS_VARIABLE = "LMERBRIDGE_R_INSTALLATIONS"
VERSION_SECONDS = 30.0  # seconds that an R may take to say its version
_VERSION = re.compile(r"\d+(\.\d+){1,2}")
_CONDA = ("miniconda3", "anaconda3", "miniforge3", "mambaforge", "micromamba", ".conda")
_named: dict[RCommand, None] = {}  # by the program, in order
_probes: dict[RCommand, RInstallation | RpyProblem] = {}
_probing = threading.Lock()


@dataclass(frozen=True)
class Installation:
    """An R that is somewhere, whether it can be used or not.

    Attributes
    ----------
    name : str
        How it is named: a path or a command.
    found : str
        Where it was found: ``"the path"``, ``"conda"``, ...
    command : RCommand or None
        ``None``: the name is no R's.
    said : RInstallation or RpyProblem
        Its version and packages, or what is wrong with it.
    """

    name: str
    found: str
    command: RCommand | None
    said: RInstallation | RpyProblem

    @property
    def version(self) -> str | None:
        return self.said.version if isinstance(self.said, RInstallation) else None


def r(path: str) -> RCommand:
    """Name an R installation, as an engine: ``lmer(..., engine=r("/opt/R/4.6.2"))``.

    From then on its version names it as well: ``engine="lme4@4.6.2"``.

    Parameters
    ----------
    path : str
        R's home, ``bin/R`` or ``bin/Rscript``, or a command in place of ``Rscript``, written as for
        a shell: ``"chroot /srv/sid Rscript"``, ``"docker exec -i name Rscript"``. Of a command
        nothing is asked but that its standard input and output are R's.

    Raises
    ------
    DataError
        There is no R of this name.
    """
    if not isinstance(path, str | os.PathLike):
        raise DataError(f"an R is named by its path or a command, not by {path!r}")
    found = command_of(os.fspath(path))
    _named[found] = None
    return found


def take_as_named(commands: Iterable[RCommand]) -> None:
    """Take R installations for named in this process, as they are in another."""
    _named.update(dict.fromkeys(commands))


def named() -> list[RCommand]:
    """Those that :func:`r` was called for."""
    return list(_named)


def names_a_version(text: str) -> bool:
    """Whether a text is a version of R's and not a path or a command."""
    return _VERSION.fullmatch(text.strip()) is not None


def listed(text: str) -> list[str]:
    """The names in ``LMERBRIDGE_R_INSTALLATIONS``: one a line; or, in a single line, with the
    separator of the path between them.
    """
    parts = text.split("\n" if "\n" in text else os.pathsep)
    return [part.strip() for part in parts if part.strip()]


def _on_the_path() -> Iterator[Path]:
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if folder:
            yield Path(folder) / rscript_name()


def _of_conda() -> Iterator[Path]:
    """In conda's environments: the active one, those that conda lists, those in usual places."""
    roots = [Path(p) for p in (os.environ.get("CONDA_PREFIX"), os.environ.get("CONDA_ROOT")) if p]
    home = Path.home()
    try:
        lines = (home / ".conda" / "environments.txt").read_text("utf-8", "replace").splitlines()
        roots += [Path(line.strip()) for line in lines if line.strip()]
    except OSError:
        pass
    for name in _CONDA:
        roots += [home / name, *sorted((home / name / "envs").glob("*"))]
    inside = "Lib/R/bin" if sys.platform == "win32" else "bin"
    for root in roots:
        yield root / inside / rscript_name()


def _places() -> Iterator[tuple[str, str]]:
    """Each name of an R, and where it was found."""
    used = r_in_use()
    if isinstance(used, RCommand):
        yield used.text, "in use"
    for command in named():
        yield command.text, "named by the program"
    for text in listed(os.environ.get(INSTALLATIONS_VARIABLE, "")):
        yield text, INSTALLATIONS_VARIABLE
    for where, paths in (
        ("the path", _on_the_path()),
        ("the registry", iter(registered())),
        ("the usual places", iter(usual_places())),
        ("conda", _of_conda()),
    ):
        for path in paths:
            if path.is_file() and os.access(path, os.X_OK):
                yield str(path), where


def probed(command: RCommand) -> RInstallation | RpyProblem:
    """What an R says of itself; it is asked once in a process, unless something was wrong."""
    with _probing:
        known = _probes.get(command)
    if known is None:
        known = find_r(timeout=VERSION_SECONDS, r=command)
        if isinstance(known, RInstallation):
            with _probing:
                _probes[command] = known
    return known


def forget() -> None:
    """Ask each R again."""
    with _probing:
        _probes.clear()


def find_installations() -> list[Installation]:
    """Every R that is found, each once, the one in use first; the unusable with what is wrong.

    R is looked for in what ``LMERBRIDGE_R`` and :func:`r` name, in ``LMERBRIDGE_R_INSTALLATIONS``,
    on the path, in Windows' registry, where R is usually put (``/opt/R/*`` and rig's places among
    them), and in conda's environments.
    """
    commands: dict[RCommand, tuple[str, str]] = {}
    wrong: dict[str, Installation] = {}
    for text, where in _places():
        try:
            commands.setdefault(command_of(text), (text, where))
        except DataError as error:
            problem = RpyProblem(str(error), f"mend {where}")
            wrong.setdefault(text, Installation(text, where, None, problem))
    with ThreadPoolExecutor(max_workers=4) as pool:
        said = list(pool.map(probed, commands))
    found: list[Installation] = []
    homes: set[str] = set()
    for (command, (text, where)), answer in zip(commands.items(), said, strict=True):
        if command.plain and isinstance(answer, RInstallation):
            if answer.home in homes:  # another name of the same
                continue
            homes.add(answer.home)
        found.append(Installation(text, where, command, answer))
    return [*found, *wrong.values()]


def _of_version(text: str) -> RCommand:
    """The R of a version among those that are found; ``"4.2"`` is any ``4.2.x``.

    Raises
    ------
    DataError
    """
    wanted = text.strip().split(".")
    every = find_installations()
    fitting = [i for i in every if i.version and i.version.split(".")[: len(wanted)] == wanted]
    if len(fitting) == 1:
        assert fitting[0].command is not None
        return fitting[0].command
    if fitting:
        names = ", ".join(i.name for i in fitting)
        raise DataError(
            f"there are {len(fitting)} installations of R {text.strip()}: {names}; name one by its "
            "path or command"
        )
    versions = {i.version: i.name for i in every if i.version}
    known = ", ".join(f"{version} ({name})" for version, name in versions.items()) or "none"
    raise DataError(
        f"there is no R {text.strip()}; found: {known}; "
        f"others are named by their path, or in {INSTALLATIONS_VARIABLE}"
    )


def r_of(text: str) -> RCommand:
    """The R of a text: a version that is found, or what :func:`r` takes.

    Raises
    ------
    DataError
        There is none.
    """
    return _of_version(text) if names_a_version(text) else command_of(text)
