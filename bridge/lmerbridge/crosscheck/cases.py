"""Cases of a suite: a model on data, and what it is there to show."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lmerbridge.crosscheck.expectations import Expected
from lmerbridge.crosscheck.tolerances import TOLERANCES, Tolerance
from lmerbridge.design import Control
from lmerbridge.engines import package_of
from lmerbridge.equality import by_value
from lmerbridge.family import Family, family_of

__all__ = ["Case", "family_text"]


@by_value
@dataclass(frozen=True, eq=False)
class Case:
    """One model of a suite; :mod:`lmerbridge.crosscheck.suite_file` says what the fields mean in a
    file.

    Attributes
    ----------
    data : str
        A data set of this package, or the path of a file relative to the suite's.
    error : str, optional
        A text that the refusal must contain, where the model must be refused.
    control, start, timeout
        As for :func:`lmerbridge.lmer`; ``start`` the values of theta.
    family : str
        Of a generalized model, in R's words; ``""`` for a linear one.
    nAGQ : int
        As for :func:`lmerbridge.glmer`.
    engines : tuple of str, optional
        Those that fit it; ``None``: all that are asked for.
    require : tuple of str
        Engines without which the case is not well.
    expect : mapping
        By engine the verdicts that are right for it, if not agreement.
    seen_on : mapping
        By engine the version that ``expect`` was seen on; another version's other verdict is told,
        and well.
    reference : str
        The engine that the others are compared with, and not with golden values; ``""``: lme4.
    tolerances : tuple of Tolerance
        All that hold for this case.
    folder : Path, optional
        The suite's.
    places : mapping
        By key of its entry, and for ``""``, where it stands: ``"models.toml:12"``.
    """

    name: str
    data: str
    formula: str
    REML: bool = True
    shows: str = ""
    error: str | None = None
    weights: str | None = None
    offset: str | None = None
    subset: str | None = None
    na_action: str = "omit"
    contrasts: Mapping[str, str] | None = None
    control: Control | None = None
    start: tuple[float, ...] | None = None
    timeout: float | None = None
    family: str = ""
    nAGQ: int = 1
    engines: tuple[str, ...] | None = None
    require: tuple[str, ...] = ()
    expect: Mapping[str, Expected] = field(default_factory=dict)
    seen_on: Mapping[str, str] = field(default_factory=dict)
    reference: str = ""
    tolerances: tuple[Tolerance, ...] = TOLERANCES
    folder: Path | None = None
    places: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def arguments(self) -> dict[str, Any]:
        """Of ``build_frame``, beyond formula and data."""
        return {
            "weights": self.weights,
            "offset": self.offset,
            "subset": self.subset,
            "na_action": self.na_action,
            "contrasts": self.contrasts,
            "control": self.control,
            "family": family_of(self.family) if self.family else None,
        }

    def takes(self, engine: str) -> bool:
        """Whether it may be fitted by this engine; what is said of lme4 holds in every R."""
        if self.error is not None or self.engines is None:
            return self.error is None
        return engine in self.engines or package_of(engine) in self.engines

    def expected(self, engine: str) -> Expected:
        """The verdicts that are right for an engine; what is said of lme4 holds in every R."""
        return self.expect.get(engine, self.expect.get(package_of(engine), ()))

    def where(self, key: str) -> str:
        """What begins a message about a key: the file's line, or the case's name."""
        return self.places.get(key) or self.places.get("") or self.name


def family_text(family: Family | None) -> str:
    """A family in R's words, as a suite's file has it; ``""`` where there is none."""
    return "" if family is None else re.sub(r"(?<=[a-z])_(?=[a-z])", ".", repr(family))
