"""The arguments of ``lmer`` as one value, made once where the user calls, from which a fit can be
made again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lmerbridge.design.build import build_frame
from lmerbridge.design.control import Control
from lmerbridge.design.frame import ModelFrame
from lmerbridge.equality import by_value
from lmerbridge.errors import ArgumentError, near_match
from lmerbridge.formula import Formula

__all__ = ["Call"]

GENERALIZED = ("family", "nAGQ", "dispersion", "information", "like", "size_estimated")


@by_value
@dataclass(frozen=True, eq=False)
class Call:
    """What a model was asked to be. Attributes are as the arguments of :func:`lmerbridge.lmer` and
    :func:`lmerbridge.glmer`; ``family`` is ``None`` for a linear model, ``size_estimated`` is what
    :func:`lmerbridge.glmer_nb` asks for.
    """

    formula: str | Formula
    data: Any
    REML: bool = True
    engine: str = "auto"
    weights: Any = None
    offset: Any = None
    subset: Any = None
    na_action: str = "omit"
    contrasts: Mapping[str, Any] | None = None
    start: Any = None
    control: Control | None = None
    timeout: float | None = None
    family: Any = None
    nAGQ: int = 1
    dispersion: str = "moment"
    information: str = "expected"
    like: str | None = None
    size_estimated: bool = False

    def arguments(self) -> dict[str, Any]:
        """Return the arguments by name, as they were given."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def changed(self, **changes: Any) -> Call:
        """Return the call with other values of some arguments.

        Raises
        ------
        ArgumentError
            A name is none of an argument.
        """
        others = GENERALIZED if self.family is None else ("REML", "size_estimated")
        known = [field.name for field in dataclasses.fields(self) if field.name not in others]
        unknown = set(changes) - set(known)
        if unknown:
            first = min(unknown)
            raise ArgumentError(
                f"update() has no argument {first!r}{near_match(first, known)}; "
                f"it takes {', '.join(known)}"
            )
        return dataclasses.replace(self, **changes)

    def frame(self, data_name: str = "data", mixed: bool = True) -> ModelFrame:
        """Make the model frame.

        Parameters
        ----------
        data_name : str
            What R would print after ``Data:``.
        mixed : bool
            Whether the formula must have random terms, or may have none.

        Raises
        ------
        FormulaError, DataError
            As of :func:`lmerbridge.design.build_frame`.
        """
        return build_frame(
            self.formula,
            self.data,
            weights=self.weights,
            offset=self.offset,
            subset=self.subset,
            na_action=self.na_action,
            contrasts=self.contrasts,
            control=self.control,
            data_name=data_name,
            mixed=mixed,
            family=self.family,
        )
