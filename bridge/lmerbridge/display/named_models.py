"""One model, several, or a dict of them, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lmerbridge.errors import ArgumentError, DataError

__all__ = ["is_model", "named_models"]


def is_model(m: object) -> bool:
    """Return whether it has fixed effects with their covariance matrix."""
    return all(hasattr(m, name) for name in ("fixef", "vcov", "tidy"))


def named_models(models: Any, what: str, name: Callable[[int, Any], str]) -> dict[str, Any]:
    """Return the models by name.

    Parameters
    ----------
    models : Model, mapping of str to Model, or sequence of Model
        Also ordinary regressions.
    what : str
        The function that was called.
    name : callable
        Names a model of a sequence by its number, from 1, and itself.

    Raises
    ------
    ArgumentError
        It is none of these.
    DataError
        There is no model, or one is none.
    """
    if isinstance(models, Mapping):
        named = {str(key): m for key, m in models.items()}
    elif is_model(models):
        named = {name(1, models): models}
    elif isinstance(models, Sequence) and not isinstance(models, str):
        named = {name(i, m): m for i, m in enumerate(models, 1)}
    else:
        raise ArgumentError(
            "models must be a fitted model, several, or a dict of them, not "
            f"{type(models).__name__}"
        )
    if not named:
        raise DataError(f"{what}() needs a model")
    for key, m in named.items():
        if not is_model(m):
            raise DataError(f"models: {key!r} is {type(m).__name__}, no fitted model")
    return named
