"""Several tables of marginal means: those of ``emmeans("pairwise ~ a")``, or simple contrasts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmerbridge.arguments import checked
from lmerbridge.display.means import list_text
from lmerbridge.equality import by_value
from lmerbridge.errors import DataError, near_match

if TYPE_CHECKING:
    from lmerbridge.model.marginal import MarginalMeans

__all__ = ["MeansList"]


@checked
@by_value
@dataclass(frozen=True, eq=False, repr=False)
class MeansList(Mapping[str, "MarginalMeans"]):
    """Several tables, as of ``emmeans("pairwise ~ a")``: the means and their contrasts, which are
    ``.emmeans`` and ``.contrasts``, ``["emmeans"]`` and ``["contrasts"]``, ``[0]`` and ``[1]``.

    ``print`` shows all. As in R, ``summary``, ``confint`` and ``test`` are of all tables, and what
    makes contrasts (``pairs``, ``contrast``) is of the first.

    Attributes
    ----------
    parts : dict of str to MarginalMeans
    """

    parts: dict[str, MarginalMeans]

    def __getitem__(self, key: str | int) -> MarginalMeans:
        names = list(self.parts)
        if isinstance(key, (int, np.integer)):
            if -len(names) <= key < len(names):
                return self.parts[names[int(key)]]
            raise DataError(f"there are {len(names)} tables: {', '.join(names)}")
        if not isinstance(key, str) or key not in self.parts:
            raise DataError(
                f"there is no table {key!r}{near_match(str(key), names)}; "
                f"tables are {', '.join(names)}"
            )
        return self.parts[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)

    @property
    def first(self) -> MarginalMeans:
        """The first table."""
        return next(iter(self.parts.values()))

    @property
    def emmeans(self) -> MarginalMeans:
        """The means, of ``emmeans("pairwise ~ a")``."""
        return self["emmeans"]

    @property
    def emtrends(self) -> MarginalMeans:
        """The slopes, of ``emtrends("pairwise ~ a", "x")``."""
        return self["emtrends"]

    @property
    def contrasts(self) -> MarginalMeans:
        """The contrasts, of ``emmeans("pairwise ~ a")``."""
        return self["contrasts"]

    @property
    def table(self) -> pd.DataFrame:
        """The numbers of the last table, which are those of the contrasts."""
        return list(self.parts.values())[-1].table

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The numbers of all tables."""
        return {name: part.table for name, part in self.parts.items()}

    @property
    def notes(self) -> tuple[str, ...]:
        """What emmeans says in messages."""
        return tuple(dict.fromkeys(note for part in self.parts.values() for note in part.notes))

    def summary(self, *args: Any, **options: Any) -> MeansList:
        """All tables with options of :meth:`MarginalMeans.summary`."""
        return MeansList({n: p.summary(*args, **options) for n, p in self.parts.items()})

    def confint(self, *args: Any, **options: Any) -> MeansList:
        """All tables with confidence limits."""
        return MeansList({n: p.confint(*args, **options) for n, p in self.parts.items()})

    def test(self, *args: Any, **options: Any) -> MeansList:
        """All tables with tests."""
        return MeansList({n: p.test(*args, **options) for n, p in self.parts.items()})

    def both(self, *args: Any, **options: Any) -> MeansList:
        """All tables with limits and tests."""
        return MeansList({n: p.both(*args, **options) for n, p in self.parts.items()})

    def contrast(self, *args: Any, **options: Any) -> Any:
        """Contrasts of the first table."""
        return self.first.contrasts(*args, **options)

    def pairs(self, *args: Any, **options: Any) -> Any:
        """Pairwise differences of the first table."""
        return self.first.pairs(*args, **options)

    def rbind(self, adjust: str = "bonferroni") -> MarginalMeans:
        """All tables as one family of tests."""
        first, *others = self.parts.values()
        return first.rbind(*others, adjust=adjust)

    def __str__(self) -> str:
        return list_text(self.parts)

    def __repr__(self) -> str:
        return str(self)
