"""The parameters of a fitted model as lme4 names them in profiles, bootstraps and intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmerbridge.arguments import several
from lmerbridge.covariance import Structure
from lmerbridge.dialects import dialect_of
from lmerbridge.errors import DataError, near_match
from lmerbridge.result import FitResult
from lmerbridge.result.tables import structure_of

__all__ = ["Parameter", "cells", "parameters", "select"]


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes
    ----------
    name : str
        lme4's old name: ``.sig01``, ``.sigma``, or the fixed effect's.
    long_name : str
        Its newer one: ``sd_Days|Subject``, ``cor_Days.(Intercept)|Subject``, ``sigma``.
    kind : str
        ``sd``, ``cor``, ``sigma``, ``size`` (of a negative binomial) or ``beta``; ``cov`` for a
        covariance in the place of a correlation; ``var`` and ``sigma2``, ``log`` for a standard
        deviation on another scale.
    term, row, column : int
        Of the random term, where it has them; the column of X for ``beta``.
    least : float
        The least value of a correlation.
    """

    name: str
    long_name: str
    kind: str
    term: int = -1
    row: int = -1
    column: int = -1
    least: float = -1.0

    @property
    def bounds(self) -> tuple[float, float]:
        """Between which values it can be."""
        if self.kind in ("sd", "sigma", "size", "var", "sigma2"):
            return 0.0, math.inf
        return (self.least, 1.0) if self.kind == "cor" else (-math.inf, math.inf)


def cells(k: int, deviations_first: bool) -> list[tuple[int, int]]:
    """Rows and columns of a covariance matrix (k, k) in the order of its parameters."""
    in_theta = [(row, column) for column in range(k) for row in range(column, k)]
    return sorted(in_theta, key=lambda c: c[0] != c[1]) if deviations_first else in_theta


def parameters(result: FitResult, covariances: bool = False, size: bool = False) -> list[Parameter]:
    """All parameters in lme4's order, that of the fit's dialect; with ``covariances`` in the place
    of correlations; with the ``size`` of a negative binomial that was estimated.
    """
    deviations_first = dialect_of(result).deviations_first
    cross = "cov" if covariances else "cor"
    found: list[Parameter] = []
    for t, term in enumerate(result.estimates.random):
        structure = structure_of(term)
        if not structure.plain:
            found += _structured(structure, term.names, term.group, t, len(found))
            continue
        for row, column in cells(len(term.names), deviations_first):
            name = f".sig{len(found) + 1:02d}"
            if row == column:
                long_name = f"sd_{term.names[row]}|{term.group}"
                found.append(Parameter(name, long_name, "sd", t, row, column))
            else:
                long_name = f"{cross}_{term.names[row]}.{term.names[column]}|{term.group}"
                found.append(Parameter(name, long_name, cross, t, row, column))
    if result.estimates.sigma is not None:
        found.append(Parameter(".sigma", "sigma", "sigma"))
    if size:
        found.append(Parameter(".size", "size", "size"))
    names = result.estimates.names
    return found + [Parameter(n, n, "beta", column=j) for j, n in enumerate(names)]


def _structured(
    structure: Structure, names: tuple[str, ...], group: str, t: int, before: int
) -> list[Parameter]:
    """Standard deviations, and the correlation: that of the first two columns."""
    k = len(names)
    own = structure.parameter_names(names)
    found = []
    for i, name in enumerate(own):
        short = f".sig{before + i + 1:02d}"
        if i < structure.deviations(k):
            found.append(Parameter(short, f"sd_{name}|{group}", "sd", t, i, i))
        else:
            least = float(structure.lower(k)[-1])
            found.append(Parameter(short, f"cor_{name}|{group}", "cor", t, 1, 0, least))
    return found


def select(every: Sequence[Parameter], parm: Any) -> list[Parameter]:
    """Choose among parameters; the chosen ones stay in the model's order, as in R.

    Parameters
    ----------
    every : sequence of Parameter
        The model's, in its order.
    parm : str, int or sequence, optional
        Names (either form), ``"theta_"``, ``"beta_"``, or positions, which count from 1 as in R.

    Raises
    ------
    DataError
        A name or a position that no parameter has.
    """
    if parm is None:
        return list(every)
    wanted = several(parm, "parm")
    chosen: set[int] = set()
    for item in wanted:
        chosen.update(_places(every, item))
    return [p for i, p in enumerate(every) if i in chosen]


def _places(every: Sequence[Parameter], item: Any) -> list[int]:
    if isinstance(item, (int, np.integer)) and not isinstance(item, (bool, np.bool_)):
        if not 1 <= item <= len(every):
            raise DataError(
                f"parm {item}: there are {len(every)} parameters, and positions count from 1, "
                "as in R"
            )
        return [int(item) - 1]
    if isinstance(item, str) and item in ("theta_", "beta_"):
        return [i for i, p in enumerate(every) if (p.kind == "beta") == (item == "beta_")]
    found = [i for i, p in enumerate(every) if item in (p.name, p.long_name)]
    if not found:
        names = [p.name for p in every]
        raise DataError(
            f"parm {item!r} is no parameter{near_match(str(item), names)}; there are "
            f"{', '.join(names)}, theta_ and beta_"
        )
    return found[:1]
