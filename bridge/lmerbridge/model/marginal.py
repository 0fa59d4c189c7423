"""Marginal means and contrasts as users hold them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from lmerbridge.display.means import grid_text
from lmerbridge.inference.contrasts import adjustment_name, contrast_grid
from lmerbridge.inference.means import Grid

__all__ = ["MarginalMeans"]


@dataclass(frozen=True, repr=False)
class MarginalMeans:
    """Marginal means, slopes or contrasts; ``print`` shows what emmeans prints.

    Attributes
    ----------
    grid : Grid
        The linear functions of the fixed effects behind them.
    """

    grid: Grid

    @property
    def table(self) -> pd.DataFrame:
        """All digits: labels, estimate, SE, df and limits or tests."""
        return self.grid.table()

    @property
    def linfct(self) -> Any:
        """Their coefficients of the fixed effects (rows, p)."""
        return self.grid.L.copy()

    @property
    def notes(self) -> tuple[str, ...]:
        """What emmeans says in messages."""
        return self.grid.notes

    def contrasts(
        self,
        method: Any = "pairwise",
        adjust: str | None = None,
        by: Any = None,
        ref: Any = None,
    ) -> MarginalMeans:
        """Contrasts: ``pairwise``, ``revpairwise``, ``trt.vs.ctrl``, ``trt.vs.ctrlk``, ``consec``,
        ``mean_chg``, ``eff``, ``del.eff``, ``poly``, or a mapping of names to coefficients.

        Parameters
        ----------
        adjust : str, optional
            ``tukey``, ``holm``, ``bonferroni``, ``sidak``, ``scheffe``, ``dunnett``, ``mvt``,
            ``BH``, ``BY``, ``hochberg``, ``hommel``, ``none``; default is the method's own.
        ref : str or int, optional
            The control.
        """
        return MarginalMeans(contrast_grid(self.grid, method, by, adjust, ref))

    def pairs(self, adjust: str | None = None, by: Any = None) -> MarginalMeans:
        """Pairwise differences."""
        return self.contrasts("pairwise", adjust, by)

    def confint(self, level: float | None = None, adjust: str | None = None) -> MarginalMeans:
        """The same with confidence limits."""
        return self._with("ci", level, adjust)

    def test(self, adjust: str | None = None) -> MarginalMeans:
        """The same with tests against 0."""
        return self._with("test", None, adjust)

    def both(self, level: float | None = None, adjust: str | None = None) -> MarginalMeans:
        """The same with limits and tests."""
        return self._with("both", level, adjust)

    def _with(self, infer: str, level: float | None, adjust: str | None) -> MarginalMeans:
        grid = replace(self.grid, infer=infer)
        if level is not None:
            from lmerbridge.errors import DataError

            if not 0 < level < 1:
                raise DataError(f"level must be between 0 and 1, not {level}")
            grid = replace(grid, level=level)
        if adjust is not None:
            grid = replace(grid, adjust=adjustment_name(adjust))
        return MarginalMeans(grid)

    def __str__(self) -> str:
        return grid_text(self.grid)

    def __repr__(self) -> str:
        return str(self)
