"""Finding R, and saying what is wrong with it, without starting it in this process."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lmerbridge.equality import by_value
from lmerbridge.errors import DataError
from lmerbridge.rlang.command import RCommand, command_of, rscript_name
from lmerbridge.rlang.environment import for_another_r
from lmerbridge.version_numbers import version_number

__all__ = [
    "RInstallation",
    "RpyProblem",
    "find_r",
    "r_in_use",
    "r_of_this_machine",
    "registered",
    "rpy2_problem",
    "rpy2_requirement",
    "rpy2_version",
    "rscript_path",
    "usual_places",
]

ROOT = Path("/")
R_PACKAGES = ("lme4", "lmerTest", "pbkrtest", "emmeans", "nlme", "glmmTMB")
_PROBE = (
    'cat("R", paste(R.version$major, R.version$minor, sep="."), R.home(), sep="\\t"); cat("\\n");'
    "for (p in commandArgs(TRUE)) cat(p, tryCatch(as.character(packageVersion(p)),"
    ' error=function(e) "-"), sep="\\t", "\\n")'
)


@by_value
@dataclass(frozen=True, eq=False)
class RInstallation:
    """An R that runs: its home, version, and the versions of the packages of interest."""

    home: str
    version: str
    packages: dict[str, str] = field(default_factory=dict)

    @property
    def number(self) -> tuple[int, ...]:
        return version_number(self.version)[:3]


@dataclass(frozen=True)
class RpyProblem:
    """What keeps R or rpy2 from working, and the command that mends it, if one is known."""

    what: str
    fix: str


def usual_places() -> list[Path]:
    """Where R is put on this kind of system, the newest version first."""
    name = "Rscript.exe" if sys.platform == "win32" else rscript_name()
    if sys.platform == "win32":
        folders = {
            "ProgramFiles": "R",
            "ProgramW6432": "R",
            "ProgramFiles(x86)": "R",
            "LOCALAPPDATA": "Programs/R",
        }
        roots = [Path(os.environ[v]) / r for v, r in folders.items() if os.environ.get(v)]
        found = [p for r in roots for b in ("x64/", "") for p in r.glob(f"R-*/bin/{b}{name}")]
        return sorted(found, key=lambda p: version_number(str(p)), reverse=True)
    if sys.platform == "darwin":
        framework = ROOT / "Library/Frameworks/R.framework"
        places = [framework / "Resources/bin" / name]
        places += sorted(framework.glob(f"Versions/*/Resources/bin/{name}"), reverse=True)
        return [*places, ROOT / "opt/homebrew/bin" / name, ROOT / "usr/local/bin" / name]
    places = [ROOT / "usr/bin" / name, ROOT / "usr/local/bin" / name, ROOT / "usr/lib/R/bin" / name]
    versions = (ROOT / "opt/R").glob(f"*/bin/{name}")
    return [*places, *sorted(versions, key=lambda p: version_number(str(p)), reverse=True)]


def registered() -> list[Path]:
    """Where Windows' registry says that R is."""
    if sys.platform != "win32":
        return []
    try:
        import winreg
    except ImportError:
        return []
    found = []
    for hive in (winreg.HKEY_LOCAL_MACHINE, winreg.HKEY_CURRENT_USER):
        for key in (r"Software\R-core\R", r"Software\R-core\R64"):
            try:
                with winreg.OpenKey(hive, key) as opened:
                    home, _ = winreg.QueryValueEx(opened, "InstallPath")
            except OSError:
                continue
            found.append(Path(home) / "bin" / "Rscript.exe")
    return found


def rscript_path() -> tuple[str | None, str | None]:
    """Path of ``Rscript`` and, if ``R_HOME`` is set but wrong, what is wrong with it: by R_HOME,
    the path, the registry, then the usual places.
    """
    home = os.environ.get("R_HOME")
    if home:
        script = Path(home) / "bin" / rscript_name()
        if script.is_file():
            return str(script), None
        return None, f"R_HOME is {home!r}, but there is no R ({script} does not exist)"
    on_path = shutil.which("Rscript")
    if on_path is not None:
        return on_path, None
    for place in (*registered(), *usual_places()):
        if place.is_file():
            return str(place), None
    return None, None


def r_of_this_machine() -> RCommand | RpyProblem:
    """The R that is found where nothing names another, or why there is none."""
    script, wrong = rscript_path()
    if wrong:
        return RpyProblem(wrong, "unset R_HOME")
    if script is None:
        return RpyProblem(
            "R is not installed (no Rscript on the path or where R usually is, R_HOME not set)",
            "sudo apt-get install --no-install-recommends r-base-core r-cran-lme4",
        )
    return RCommand.of(script)


def r_in_use() -> RCommand | RpyProblem:
    """The R that ``LMERBRIDGE_R`` names, or that of this machine; or why there is none."""
    named = os.environ.get("LMERBRIDGE_R", "").strip()
    if not named:
        return r_of_this_machine()
    try:
        return command_of(named)
    except DataError as error:
        return RpyProblem(f"LMERBRIDGE_R: {error}", "unset LMERBRIDGE_R")


def find_r(
    packages: Sequence[str] = R_PACKAGES, timeout: float = 60.0, r: RCommand | None = None
) -> RInstallation | RpyProblem:
    """What an R says of itself, or what keeps it from running; by default the R in use.

    Starts ``Rscript`` once.
    """
    used = r_in_use() if r is None else r
    if isinstance(used, RpyProblem):
        return used
    script = used.text
    mend = "reinstall R" if used == r_of_this_machine() else ""
    environment = for_another_r(os.environ)
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program on fixed arguments
            [*used.words, "--no-init-file", "--no-site-file", "-e", _PROBE, *packages],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        return RpyProblem(f"{script} does not answer within {timeout:g} s", mend)
    except OSError as error:
        return RpyProblem(f"{script} does not run: {error}", mend)
    rows = [[cell.strip() for cell in line.split("\t")] for line in done.stdout.splitlines()]
    head = next((row for row in rows if row[0] == "R" and len(row) == 3), None)
    if done.returncode != 0 or head is None:
        lines = done.stderr.strip().splitlines() or ["it does not answer as R does"]
        return RpyProblem(f"{script} fails: {lines[-1]}", mend)
    found = {row[0]: row[1] for row in rows if len(row) >= 2 and row[0] != "R" and row[1] != "-"}
    return RInstallation(head[2], head[1], found)


def rpy2_requirement(version: tuple[int, ...]) -> str:
    """The rpy2-rinterface that fits an R: from 3.6.6 on it needs R 4.5."""
    if version < (4, 5):
        return "rpy2-rinterface>=3.6.3,<3.6.6"
    return "rpy2-rinterface>=3.6.7"


def rpy2_version() -> str | None:
    for name in ("rpy2-rinterface", "rpy2"):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def rpy2_problem(r: RInstallation) -> RpyProblem | None:
    """What keeps rpy2 from working with ``r``, judged without importing it."""
    needed = rpy2_requirement(r.number)
    fix = f'pip install "{needed}"'
    version = rpy2_version()
    if version is None or importlib.util.find_spec("rpy2") is None:
        return RpyProblem("rpy2 is not installed", fix)
    number = version_number(version)[:3]
    if r.number < (4, 5) and number >= (3, 6, 6):
        return RpyProblem(
            f"rpy2-rinterface {version} needs R >= 4.5, and this is R {r.version}", fix
        )
    if r.number >= (4, 6) and number < (3, 6, 7):
        return RpyProblem(f"rpy2-rinterface {version} does not know R {r.version}", fix)
    return None
