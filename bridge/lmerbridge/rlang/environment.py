"""The environment that R is started in: what would change how R reads names or what it says is
replaced, whatever the user's session holds.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import sys
from collections.abc import Iterator, Mapping

__all__ = ["for_another_r", "for_r", "started_in"]

# the default packages are R's; R speaks English, as what it says is compared and printed
_DROPPED = ("R_DEFAULT_PACKAGES",)
_SET = {"LANGUAGE": "en"}
_ALL_CATEGORIES = 0x1FBF  # LC_ALL_MASK of glibc; musl takes any


def _exists(locale: str) -> bool:
    """Whether this machine has the locale; yes, where that cannot be asked."""
    try:
        libc = ctypes.CDLL(None)
        libc.newlocale.restype = ctypes.c_void_p
        made = libc.newlocale(_ALL_CATEGORIES, locale.encode(), ctypes.c_void_p(0))
        if made:
            libc.freelocale(ctypes.c_void_p(made))
    except (OSError, AttributeError, UnicodeError):
        return True
    return bool(made)


@functools.cache
def _utf8_locale(named: str) -> str | None:
    """Return a locale in which R reads names beyond ASCII: texts go to R in UTF-8, and R that is
    told a locale which the machine does not have falls back to one with ASCII alone.
    """
    if os.name != "posix":
        return None
    usual = ["en_US.UTF-8", "C.UTF-8"] if sys.platform == "darwin" else ["C.UTF-8", "en_US.UTF-8"]
    given = [named] if named.upper().replace("UTF8", "UTF-8").endswith("UTF-8") else []
    if sys.platform == "darwin":  # its masks are others
        return (given or usual)[0]
    return next((name for name in (*usual, *given) if _exists(name)), None)


def for_r(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of R's process, made of this one."""
    kept = {k: v for k, v in environment.items() if k not in _DROPPED}
    kept.update(_SET)
    locale = _utf8_locale(environment.get("LC_ALL") or environment.get("LANG", ""))
    if locale is not None:
        kept["LC_ALL"] = locale
    return kept


def for_another_r(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the same for an R that is started by its own ``Rscript``: what tells this process of
    its own R would lead it astray.
    """
    of_ours = ("R_HOME", "LD_LIBRARY_PATH")
    return for_r({k: v for k, v in environment.items() if k not in of_ours})


@contextlib.contextmanager
def started_in() -> Iterator[None]:
    """Give this process that environment while R starts in it, and its own again afterwards."""
    before = dict(os.environ)
    wanted = for_r(before)
    touched = [k for k in (*_DROPPED, *_SET, "LC_ALL") if before.get(k) != wanted.get(k)]
    try:
        for name in touched:
            os.environ.pop(name, None)
            if name in wanted:
                os.environ[name] = wanted[name]
        yield
    finally:
        for name in touched:
            os.environ.pop(name, None)
            if name in before:
                os.environ[name] = before[name]
