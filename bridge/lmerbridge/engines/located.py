"""Engines of R's in an R that is named: ``lme4@4.6.2``, ``lme4@/opt/R/4.6.2``, or the R itself."""

from __future__ import annotations

from typing import Protocol, TypeAlias, runtime_checkable

from lmerbridge.engines.protocol import Engine
from lmerbridge.errors import DataError, EngineUnavailableError
from lmerbridge.rlang import RCommand

__all__ = ["EngineName", "Located", "engine_in", "engine_name", "package_of"]

SEPARATOR = "@"
DEFAULT_PACKAGE = "lme4"  # what an R is asked for if it is given for an engine

EngineName: TypeAlias = str | RCommand


@runtime_checkable
class Located(Protocol):
    """An engine that runs in R, and can in another."""

    def at(self, r: RCommand, name: str) -> Engine:
        """Return the engine of this name, in R ``r``."""
        ...


def engine_name(engine: EngineName) -> str:
    """The name of an engine; an R stands for lme4 in it.

    Raises
    ------
    DataError
        Neither a name nor an R.
    """
    if isinstance(engine, RCommand):
        return f"{DEFAULT_PACKAGE}{SEPARATOR}{engine}"
    if not isinstance(engine, str):
        raise DataError(f"an engine is a name, such as 'native', or an R, not {engine!r}")
    return engine


def package_of(name: str) -> str:
    """The name without the R that it is asked in: ``lme4`` of ``lme4@4.6.2``."""
    return name.partition(SEPARATOR)[0]


def place_of(name: str) -> str | None:
    """The R of the name, as it is written there."""
    _, at, place = name.partition(SEPARATOR)
    return place if at else None


def engine_in(engine: Engine, name: str) -> Engine:
    """The engine in the R that ``name`` says.

    Raises
    ------
    EngineUnavailableError
        There is no such R, or the engine is none of R's.
    """
    from lmerbridge.rlang import r_of

    if not isinstance(engine, Located):
        raise EngineUnavailableError(
            f"there is no engine {name!r}: {engine.name} does not run in R, and has no {SEPARATOR}"
        )
    try:
        return engine.at(r_of(place_of(name) or ""), name)
    except DataError as error:
        raise EngineUnavailableError(f"there is no engine {name!r}: {error}") from error
