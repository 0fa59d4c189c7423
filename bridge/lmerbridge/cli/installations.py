"""The R installations that are found, as ``lmerbridge engines`` and ``doctor`` list them."""

from __future__ import annotations

__all__ = ["installations_text"]

_PACKAGES = ("lme4", "lmerTest", "pbkrtest", "emmeans")


def installations_text() -> str:
    """A line for each R: its version, how it is named and where it was found, and its packages or
    what is wrong with it.
    """
    from lmerbridge.rlang import RInstallation, find_installations

    lines = []
    for one in find_installations():
        place = f"{one.name} ({one.found})"
        if not isinstance(one.said, RInstallation):
            lines.append(f"  {place}: cannot be used: {one.said.what}")
            continue
        has = [
            f"{name} {one.said.packages[name]}" for name in _PACKAGES if name in one.said.packages
        ]
        said = ", ".join(has) if "lme4" in one.said.packages else "has no package lme4"
        lines.append(f"  R {one.said.version}, {place}: {said}")
    if not lines:
        return "R installations: none is found"
    return "\n".join(['R installations, each engine="lme4@VERSION" or "lme4@NAME":', *lines])
