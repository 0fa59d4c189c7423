"""What works here, what does not, and the command that mends it."""

from __future__ import annotations

import importlib
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from lmerbridge._version import __version__
from lmerbridge.cli.installations import installations_text
from lmerbridge.engines import AUTO_ORDER, engine_names, is_rival, load_engine, status_of
from lmerbridge.errors import LmerBridgeError

__all__ = ["Mended", "mend", "pip_fixes", "report"]


@dataclass(frozen=True)
class Mended:
    """What pip was asked for, and what it said if it failed."""

    requirement: str
    problem: str | None


def pip_fixes() -> list[str]:
    """What pip could install to mend something here: the rpy2 that fits this R, statsmodels."""
    from lmerbridge.rlang import RInstallation, find_r, rpy2_problem

    r = find_r(())
    problem = rpy2_problem(r) if isinstance(r, RInstallation) else None
    states = [status_of(name) for name in engine_names() if not is_rival(name)]
    fixes = [problem.fix if problem else None, *(s.fix for s in states if not s.available)]
    found = [shlex.split(fix)[2:] for fix in fixes if fix and fix.startswith("pip install ")]
    return list(dict.fromkeys(requirement for parts in found for requirement in parts))


def mend(say: Callable[[str], None] = lambda _: None) -> list[Mended]:
    """Install what pip can mend, into the environment of this Python."""
    done = []
    for requirement in pip_fixes():
        command = [sys.executable, "-m", "pip", "install", requirement]
        say(f"running: {shlex.join(command)}")
        # rpy2 is built against R where it is compiled; in this mode it needs no compiler
        environment = {"RPY2_CFFI_MODE": "ABI", **os.environ}
        ran = subprocess.run(  # noqa: S603 - a fixed program on requirements of ours
            command, capture_output=True, text=True, check=False, env=environment
        )
        lines = (ran.stderr or ran.stdout).strip().splitlines()
        failed = lines[-1] if lines else f"pip ended with status {ran.returncode}"
        done.append(Mended(requirement, failed if ran.returncode else None))
    from lmerbridge.rlang import restart

    importlib.invalidate_caches()
    restart()
    return done


def _trial_fit_error(name: str) -> str | None:
    """Fit a small model with the engine; return the error's text, or ``None`` if it worked."""
    import pandas as pd

    from lmerbridge.design import build_frame
    from lmerbridge.engines import FitSpec

    data = pd.DataFrame({"y": [1.0, 2.0, 4.0, 3.0, 6.0, 8.0, 5.0, 9.0], "g": list("aabbccdd")})
    try:
        load_engine(name).fit(build_frame("y ~ 1 + (1 | g)", data), FitSpec())
    except LmerBridgeError as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def report() -> tuple[str, bool]:
    """The text, and whether at least one engine works."""
    lines = [
        f"lmerbridge {__version__}, Python {platform.python_version()} "
        f"({sys.executable}), {platform.platform()}"
    ]
    working = []
    rivals = [name for name in engine_names() if is_rival(name)]
    for name in (name for name in engine_names() if name not in rivals):
        state = status_of(name)
        problem = state.problem if not state.available else _trial_fit_error(name)
        if problem is None:
            working.append(name)
            lines.append(f"{name}: works (version {state.version})")
        else:
            lines.append(f"{name}: does not work")
            lines.append(f"  what is wrong: {problem}")
            if state.fix:
                lines.append(f"  mend it with:  {state.fix}")
        for what, found in (state.details or {}).items():
            lines.append(f"  {what}: {found}")
    here = {name: status_of(name) for name in rivals}
    if here:
        said = [f"{n} {s.version}" if s.available else f"{n} (not here)" for n, s in here.items()]
        lines.append(f"rivals, for `lmerbridge check --scorecard`: {', '.join(said)}")
    lines.append(installations_text())
    order = [n for n in AUTO_ORDER if n in working]
    lines.append(f'engine="auto" tries: {", ".join(order) if order else "nothing works here"}')
    return "\n".join(lines), bool(working)
