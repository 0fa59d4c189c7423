"""A transport without R, for tests: it answers by functions of Python's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lmerbridge.rlang.values import Reply, RFailure, Value

__all__ = ["FakeSession"]


class FakeSession:
    """Answers each function's calls by what ``answers`` has under its name.

    Parameters
    ----------
    answers : mapping of str to callable
        From the arguments, as keywords, to the value; an exception is a failure of R's.
    """

    name = "fake"

    def __init__(self, answers: Mapping[str, Callable[..., Any]]):
        self.answers = answers

    def call(
        self, function: str, arguments: Mapping[str, Value], timeout: float | None = None
    ) -> Reply:
        if function not in self.answers:
            return Reply(None, RFailure(f"object '{function}' not found", "get(name)"), (), ())
        try:
            return Reply(self.answers[function](**arguments), None, (), ())
        except Exception as error:
            return Reply(None, RFailure(str(error), function), (), ())

    def close(self) -> None:
        self.answers = {}
