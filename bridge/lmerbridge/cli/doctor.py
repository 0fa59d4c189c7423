"""What works here, what does not, and the command that mends it."""

from __future__ import annotations

import platform
import sys

from lmerbridge.engines import AUTO_ORDER, engine_names, is_rival, load_engine, status_of
from lmerbridge.errors import LmerBridgeError

__all__ = ["report"]


def _imports(name: str) -> str | None:
    """Why an engine that looks available does not work, found by using it on a small model."""
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
    import lmerbridge

    lines = [
        f"lmerbridge {lmerbridge.__version__}, Python {platform.python_version()} "
        f"({sys.executable}), {platform.platform()}"
    ]
    working = []
    rivals = [name for name in engine_names() if is_rival(name)]
    for name in (name for name in engine_names() if name not in rivals):
        state = status_of(name)
        problem = state.problem if not state.available else _imports(name)
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
    order = [n for n in AUTO_ORDER if n in working]
    lines.append(f'engine="auto" tries: {", ".join(order) if order else "nothing works here"}')
    return "\n".join(lines), bool(working)
