"""Reference grids as users hold them, and the means that are taken of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lmerbridge.arguments import belongs, checked
from lmerbridge.inference.means import (
    averaged_combinations,
    marginal_means,
    on_scale,
    scale_of,
)
from lmerbridge.inference.reference_grid import ReferenceGrid
from lmerbridge.inference.regrid import regridded_reference
from lmerbridge.inference.specs import Specs, parse_specs
from lmerbridge.messages import tell
from lmerbridge.model.joint_testing import joint_tests_of
from lmerbridge.model.marginal import MarginalMeans, MeansList
from lmerbridge.shown import shown

if TYPE_CHECKING:
    import pandas as pd

    from lmerbridge.display.table import RTable
__all__ = ["RefGrid", "means_of", "say"]


@checked
@dataclass(frozen=True, repr=False)
@shown
class RefGrid:
    """A reference grid; ``print`` shows what R prints of one, :meth:`structure` gives what R's
    ``str`` prints.

    Attributes
    ----------
    reference : ReferenceGrid
        The predictions as linear functions of the fixed effects.
    sigma : float, optional
        The model's residual standard deviation, for the adjustment for bias.
    type : str
        The scale on which results are shown.
    """

    reference: ReferenceGrid
    sigma: float | None
    type: str = "link"

    @property
    def grid(self) -> MarginalMeans:
        """Its predictions, as :class:`lmerbridge.MarginalMeans`."""
        return MarginalMeans(on_scale(self.reference.grid(), self.type))

    @property
    def table(self) -> pd.DataFrame:
        """All digits: values of the predictors, prediction, SE and df."""
        return self.grid.table

    @property
    def linfct(self) -> Any:
        """The coefficients of the fixed effects (rows, p)."""
        return self.reference.L.copy()

    @property
    def levels(self) -> dict[str, list[Any]]:
        """The values of each predictor."""
        return {axis.name: list(axis.values) for axis in self.reference.axes}

    @property
    def nesting(self) -> dict[str, list[str]]:
        """Per nested factor what it is nested in."""
        return {name: list(outer) for name, outer in self.reference.nesting.items()}

    def emmeans(
        self,
        specs: Any,
        by: Any = None,
        weights: Any = "equal",
        level: float = 0.95,
        type: str | None = None,
        bias_adjust: bool = False,
        sigma: float | None = None,
    ) -> Any:
        """Average the predictions to marginal means, as :meth:`lmerbridge.Model.emmeans`.

        Parameters
        ----------
        specs, by, weights, level, bias_adjust, sigma
            As of :meth:`lmerbridge.Model.emmeans`.
        type : {"link", "response"}, optional
            Of what is shown; default the grid's.

        Returns
        -------
        MarginalMeans, or MeansList of the means and their contrasts
            In units of the response, or of its transformation.
        """
        belongs("bias_adjust=True", sigma=sigma is not None and not bias_adjust)
        shown = self.type if type is None else type
        belongs("type='response'", bias_adjust=bias_adjust and not scale_of(shown))
        return means_of(
            self.reference,
            specs,
            by,
            weights,
            level,
            shown,
            bias_adjust,
            self.sigma if sigma is None else sigma,
            self.reference.notes,
        )

    def contrasts(self, *args: Any, **options: Any) -> Any:
        """Contrast the predictions, as :meth:`lmerbridge.MarginalMeans.contrasts`.

        Parameters
        ----------
        *args, **options
            As there.
        """
        return self.grid.contrasts(*args, **options)

    def pairs(self, *args: Any, **options: Any) -> Any:
        """Compare the predictions pairwise, as :meth:`lmerbridge.MarginalMeans.pairs`.

        Parameters
        ----------
        *args, **options
            As there.
        """
        return self.grid.pairs(*args, **options)

    def confint(self, *args: Any, **options: Any) -> Any:
        """Show the predictions with confidence limits, as :meth:`lmerbridge.MarginalMeans.confint`.

        Parameters
        ----------
        *args, **options
            As there.
        """
        return self.grid.confint(*args, **options)

    def test(self, *args: Any, **options: Any) -> Any:
        """Show the predictions with tests against 0, as :meth:`lmerbridge.MarginalMeans.test`.

        Parameters
        ----------
        *args, **options
            As there.
        """
        return self.grid.test(*args, **options)

    def joint_tests(
        self,
        by: str | Sequence[str] | None = None,
        *,
        show0df: bool = False,
        showconf: bool = True,
        weights: Any = "equal",
    ) -> RTable:
        """Test each term whose predictors have more than one value here.

        Parameters
        ----------
        by, show0df, showconf, weights
            As of :meth:`lmerbridge.Model.joint_tests`.

        Returns
        -------
        RTable
            A row per term.
        """
        return joint_tests_of(self.reference, by, weights, show0df, showconf)

    def regrid(
        self, transform: str = "response", bias_adjust: bool = False, sigma: float | None = None
    ) -> RefGrid:
        """Make the grid of responses, of which means and contrasts are then taken: R's ``regrid``.

        Parameters
        ----------
        transform : {"response", "log", "log2", "log10", "sqrt"}
            ``log``: of their logarithms.
        bias_adjust : bool
            Whether the responses are means, and not what undoing the transformation gives.
        sigma : float, optional
            For the adjustment; default is the model's.
        """
        belongs("bias_adjust=True", sigma=sigma is not None and not bias_adjust)
        sigma = self.sigma if sigma is None else sigma
        return RefGrid(
            regridded_reference(self.reference, transform, bias_adjust, sigma), self.sigma
        )

    def averaged_over(self, specs: Any, by: Any = None) -> pd.DataFrame:
        """List the combinations that means are averages over, in the order of numeric ``weights``:
        emmeans' ``weights = "show.levels"``.

        Parameters
        ----------
        specs, by
            As of :meth:`lmerbridge.Model.emmeans`.

        Returns
        -------
        DataFrame
            A row per combination.
        """
        asked = parse_specs(specs, by)
        return averaged_combinations(self.reference, (*asked.names, *asked.by))

    def __len__(self) -> int:
        return len(self.reference.L)

    def __str__(self) -> str:
        return f"{self.grid}"

    def __repr__(self) -> str:
        return f"{self.grid}"

    def structure(self) -> str:
        """Return what R's ``str`` prints: predictors, values, nesting and transformation."""
        return self.reference.text()


def say(notes: Sequence[str]) -> None:
    """Give notes as messages, each once."""
    for note in dict.fromkeys(notes):
        tell(note)


def means_of(
    reference: ReferenceGrid,
    specs: Any,
    by: Any,
    weights: Any,
    level: float,
    type: str,
    bias_adjust: bool,
    sigma: float | None,
    said: Sequence[str] = (),
    what: str = "emmeans",
    contr: Any = None,
    options: Mapping[str, Any] | None = None,
) -> Any:
    """The means that ``specs`` ask for: one table, or several by name."""
    if isinstance(specs, Mapping) or _are_several(specs):
        items = list(specs.items()) if isinstance(specs, Mapping) else [("", s) for s in specs]
        parts: dict[str, MarginalMeans] = {}
        for name, one in items:
            found = means_of(
                reference,
                one,
                by,
                weights,
                level,
                type,
                bias_adjust,
                sigma,
                said,
                what,
                contr,
                options,
            )
            parts.update(_titled(found, str(name), one, by, what))
        return MeansList(parts)
    asked = specs if isinstance(specs, Specs) else parse_specs(specs, by)
    grid = marginal_means(reference, asked.names, asked.by, weights, level)
    grid = on_scale(grid, type, bias_adjust, sigma)
    say([note for note in grid.notes if note not in said])
    shown = {name: value for name, value in (options or {}).items() if value is not None}
    belongs("specs that name no contrasts", contr=contr is not None and asked.method is not None)
    method = contr if asked.method is None else asked.method
    means = MarginalMeans(grid)
    if method is None:
        return means.summary(**shown) if shown else means
    adjust = shown.pop("adjust", None)  # is of the contrasts where there are any
    if shown:
        means = means.summary(**shown)
    return MeansList({what: means, "contrasts": means.contrasts(method, adjust, **shown)})


def _are_several(specs: Any) -> bool:
    """Whether ``specs`` is a list of formulas."""
    return (
        isinstance(specs, (list, tuple))
        and len(specs) > 0
        and all(isinstance(s, str) and "~" in s for s in specs)
    )


def _titled(found: Any, name: str, specs: Any, by: Any, what: str) -> dict[str, Any]:
    """The tables of one of several specs with the names that emmeans gives them."""
    asked = parse_specs(specs, by)
    wanted = ", ".join(asked.names) or "1"
    of = f"{wanted} | {', '.join(asked.by)}" if asked.by else wanted
    title = name or f"{what} of {of}"
    if isinstance(found, MarginalMeans):
        return {title: found}
    kind = {"pairwise": "pairwise differences", "revpairwise": "pairwise differences"}
    method = kind.get(asked.method or "", asked.method or "")
    return {title: found[0], f"{name} {method}" if name else f"{method} of {of}": found[1]}
