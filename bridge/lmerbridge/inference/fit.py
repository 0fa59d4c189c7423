"""``Fit``: what every function after the fit takes, and what they would otherwise each compute."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from lmerbridge.design import ModelFrame
from lmerbridge.design.call import Call
from lmerbridge.equality import by_value
from lmerbridge.errors import DataError
from lmerbridge.result import FitResult

if TYPE_CHECKING:
    from lmerbridge.likelihood import CrossProducts

__all__ = ["Fit"]

T = TypeVar("T")

WITHOUT_DATA = "this model was read without its data; give it: lb.from_json(text, data=...)"


@by_value
@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted model: its result, its model frame, and the call that made it.

    Attributes
    ----------
    result : FitResult
        All numbers, by whichever engine.
    frame_given : ModelFrame, optional
        Missing where the model was read from JSON without its data.
    call_given : Call, optional
        Missing likewise.
    """

    result: FitResult
    frame_given: ModelFrame | None = None
    call_given: Call | None = None

    @property
    def frame(self) -> ModelFrame:
        """The model frame.

        Raises
        ------
        DataError
            The model was read from JSON without data.
        """
        if self.frame_given is None:
            raise DataError(WITHOUT_DATA)
        return self.frame_given

    @property
    def call(self) -> Call:
        """The arguments of ``lmer``.

        Raises
        ------
        DataError
            The model was read from JSON without data.
        """
        if self.call_given is None:
            raise DataError(WITHOUT_DATA)
        return self.call_given

    @property
    def products(self) -> CrossProducts:
        """Cross-products of the model frame, computed once: by the fit itself, if the native
        engine made it, or for what is asked first.
        """
        from lmerbridge.likelihood import products_of

        return products_of(self.frame)

    def once(self, what: Hashable, make: Callable[[], T]) -> T:
        """Return what ``make`` gives, and the same again for the same ``what``.

        Parameters
        ----------
        what : hashable
            Names what is computed, with the arguments it depends on.
        make : callable
            Computes it from this fit and ``what`` alone.
        """
        known: dict[Hashable, Any] = self.__dict__.setdefault("_computed", {})
        if what not in known:
            known[what] = make()
        found: T = known[what]
        return found

    def with_result(self, result: FitResult) -> Fit:
        """Return the same model with other numbers."""
        return replace(self, result=result)

    def __getstate__(self) -> dict[str, Any]:
        # what was computed can be computed again, and may be larger than all the rest
        return {k: v for k, v in self.__dict__.items() if k != "_computed"}
