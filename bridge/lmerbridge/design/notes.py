"""What lme4 would say of a model before it is fitted."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Note"]


@dataclass(frozen=True)
class Note:
    """Something lme4 would say: ``kind`` is ``"message"`` or ``"warning"``."""

    kind: str
    text: str
