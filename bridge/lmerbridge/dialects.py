"""What versions of R and its packages write and read differently.

A result is printed as the lme4 that fitted it prints; a fit without R as the newest does, unless
:func:`options` or the environment variable ``LMERBRIDGE_DIALECT`` chooses another.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from lmerbridge.equality import by_value
from lmerbridge.errors import DataError, near_match
from lmerbridge.version_numbers import version_number

if TYPE_CHECKING:
    from lmerbridge.result import FitResult

__all__ = [
    "NEWEST",
    "Dialect",
    "Options",
    "dialect_of",
    "options",
    "residual_shown",
    "without_r",
]

DIALECT_VARIABLE = "LMERBRIDGE_DIALECT"


@dataclass(frozen=True)
class Dialect:
    """How R writes what its versions write differently; the defaults are the newest forms.

    Attributes
    ----------
    deviance : str
        The heading of minus twice the log-likelihood.
    correlations_padded : bool
        Whether the table of variance components has an empty column behind its correlations.
    covariances_shown : bool
        Whether covariances stand beside variances that are printed alone, or correlations.
    deviations_first : bool
        Whether profiles and intervals have a term's standard deviations before its correlations,
        or both in the order of theta.
    family_residual_shown : bool
        Whether the variance components of a generalized model have a residual row, where its
        dispersion is estimated.
    scale_advice : str
        What lme4 adds below its note on predictors of very different scales.
    unknown_p : str
        What emmeans prints for a p-value that is not a number.
    least_p : str
        What emmeans prints for a small p-value, one ``least_p_below`` this.
    SE_digits : int, optional
        How many significant digits emmeans prints of standard errors; ``None``: as of estimates.
    SAT_formula : bool
        Whether pbkrtest's ``SATmodcomp`` shows the smaller model as a formula, not as a matrix.
    ranova_as_written : bool
        Whether lmerTest's ``ranova`` shows the fixed part as it was written, or its terms in order.
    C_keeps_levels : bool
        Whether columns of ``C(f, contr.SAS)`` and ``C(f, base = 2)`` are named by levels, or
        numbered.
    joint_chisq : bool
        Whether emmeans' joint tests have a column of chi-squared where ``df2`` is infinite.
    families_of_estimable : bool
        Whether emmeans adjusts p-values and limits for the rows of a family that can be estimated,
        or for all.
    unequal_groups_apart : bool
        Whether emmeans leaves an adjustment across groups out where these are of different sizes.
    groups_counted : bool
        Whether emmeans says how many groups it adjusts for, and "varying rank" for "rank (varies)".
    ratios_of_plain_logarithms : bool
        Whether emmeans makes ratios of differences of ``log(y)`` alone, or of ``log(y + 1)`` and
        ``2 * log(y)`` too.
    scale_of_contrasts : str
        How emmeans ends its note that contrasts are still on the scale of a transformation.
    scale_of_bound : bool
        Whether emmeans gives that note of tables that ``rbind()`` put together.
    prior_weights_count : bool
        Whether emmeans' weights that are those of the data count prior weights, or rows.
    offset_terms_in_grid : bool
        Whether emmeans takes ``offset(log(x))`` at the value of ``x`` in the grid, or its mean.
    regression_offset_apart : bool
        Whether R-squared and F of an ordinary regression leave out what its offset explains.
    deviance_residuals_shown : bool
        Whether the summary of a ``glm`` shows its deviance residuals.
    glm_tests_shown : bool
        Whether ``anova`` of a ``glm`` has tests where none was asked for.
    knots_moved_inside : bool
        Whether inner knots of ``bs()`` and ``ns()`` that are a boundary knot are moved inside.
    abbreviates_any_script : bool
        Whether R's ``abbreviate`` takes lower-case letters other than a to z for such.
    bare_exponents : bool
        Whether ``1e`` in a file of data is a number.
    """

    deviance: str = "-2*log(L)"
    correlations_padded: bool = True
    covariances_shown: bool = False
    deviations_first: bool = True
    family_residual_shown: bool = False
    scale_advice: str = (
        "You may also use (g)lmerControl(autoscale = TRUE) to improve numerical stability."
    )
    unknown_p: str = "NA"
    least_p: str = "<0.0001"
    least_p_below: float = 1e-4
    SE_digits: int | None = 3
    SAT_formula: bool = True
    ranova_as_written: bool = True
    C_keeps_levels: bool = True
    joint_chisq: bool = True
    families_of_estimable: bool = True
    unequal_groups_apart: bool = True
    groups_counted: bool = True
    ratios_of_plain_logarithms: bool = True
    scale_of_contrasts: str = (
        ". Consider using\n      regrid() if you want contrasts of back-transformed estimates. "
    )
    scale_of_bound: bool = False
    prior_weights_count: bool = True
    offset_terms_in_grid: bool = True
    regression_offset_apart: bool = True
    deviance_residuals_shown: bool = False
    glm_tests_shown: bool = True
    knots_moved_inside: bool = True
    abbreviates_any_script: bool = True
    bare_exponents: bool = False


NEWEST = Dialect()


@by_value
@dataclass(frozen=True, eq=False)
class Form:
    """A form that a package's version replaced.

    Attributes
    ----------
    package, since : str
        The version that brought the newest form.
    lme4 : str
        The lme4 of that time, which tells where the package's own version is not known.
    attribute : str
        Of :class:`Dialect`; ``before`` is its value in earlier versions.
    """

    package: str
    since: str
    lme4: str
    attribute: str
    before: Any


# of one attribute the newest form first
FORMS = (
    Form("lme4", "1.1-37", "1.1-37", "deviance", "deviance"),
    Form("lme4", "1.1-38", "1.1-38", "scale_advice", ""),
    Form("lme4", "2.0-0", "2.0-0", "correlations_padded", False),
    Form("lme4", "2.0-0", "2.0-0", "deviations_first", False),
    Form("lme4", "2.0-0", "2.0-0", "covariances_shown", True),
    # 1.1-37 prints the one form, 2.1-0 the other
    Form("lme4", "2.0-0", "2.0-0", "family_residual_shown", True),
    Form("lme4", "1.1-32", "1.1-32", "covariances_shown", False),
    Form("emmeans", "1.8.5", "1.1-32", "joint_chisq", False),
    Form("emmeans", "1.8.6", "1.1-33", "prior_weights_count", False),
    Form("emmeans", "1.8.7", "1.1-33", "offset_terms_in_grid", False),
    Form("emmeans", "1.8.8", "1.1-34", "families_of_estimable", False),
    Form("emmeans", "1.8.8", "1.1-34", "ratios_of_plain_logarithms", False),
    Form("emmeans", "1.10.5", "1.1-36", "SE_digits", None),
    # its NEWS says nothing of these two: 1.8.4 prints the one form, 1.10.7 the other
    Form("emmeans", "1.10.7", "1.1-36", "scale_of_contrasts", " "),
    Form("emmeans", "1.10.7", "1.1-36", "scale_of_bound", True),
    Form("emmeans", "1.11.2-8", "2.0-0", "groups_counted", False),
    Form("emmeans", "2.0.1", "2.0-0", "unknown_p", "NaN"),
    Form("emmeans", "2.0.1", "2.0-0", "least_p", "<.0001"),
    Form("emmeans", "2.0.1", "2.0-0", "least_p_below", 5e-5),
    Form("emmeans", "2.0.4", "2.1-0", "unequal_groups_apart", False),
    Form("pbkrtest", "0.5.4", "1.1-37", "SAT_formula", False),
    Form("lmerTest", "3.2-0", "2.0-0", "ranova_as_written", False),
    Form("R", "4.3.0", "1.1-33", "C_keeps_levels", False),
    Form("R", "4.3.0", "1.1-33", "knots_moved_inside", False),
    Form("R", "4.3.0", "1.1-33", "deviance_residuals_shown", True),
    Form("R", "4.4.0", "1.1-35.3", "glm_tests_shown", False),
    Form("R", "4.3.0", "1.1-33", "regression_offset_apart", False),
    Form("R", "4.4.1", "1.1-35.4", "bare_exponents", True),
    Form("R", "4.6.1", "2.1-0", "abbreviates_any_script", False),
)
PACKAGES = tuple(dict.fromkeys(form.package for form in FORMS))


def _of_versions(versions: Mapping[str, str]) -> Dialect:
    """The dialect of these versions of R's packages; ``lme4`` must be among them."""
    changes: dict[str, Any] = {}
    for form in FORMS:
        own = versions.get(form.package)
        if own is None:
            earlier = version_number(versions["lme4"]) < version_number(form.lme4)
        else:
            earlier = version_number(own) < version_number(form.since)
        if earlier:
            changes[form.attribute] = form.before
    return replace(NEWEST, **changes)


def _read(text: Any, where: str) -> Dialect:
    """``"newest"``, ``"1.1-31"``, ``"lme4 1.1-31"`` or ``"lme4 1.1-31, emmeans 1.8.4"``.

    Raises
    ------
    DataError
        Not of this form; ``where`` begins the message.
    """
    known = ", ".join(PACKAGES)
    if not isinstance(text, str):
        raise DataError(f'{where} is a text such as "1.1-31" (a version of lme4), not {text!r}')
    if text.strip() in ("", "newest"):
        return NEWEST
    versions: dict[str, str] = {}
    for part in text.split(","):
        *package, version = part.split() or [""]
        name = package[0] if package else "lme4"
        if len(package) > 1 or not re.fullmatch(r"\d+([.-]\d+)+", version):
            raise DataError(
                f'{where} is {text!r}: it must be "newest", a version of lme4 such as "1.1-31", '
                f'or versions of packages, "lme4 1.1-31, emmeans 1.8.4" ({known})'
            )
        if name not in PACKAGES:
            raise DataError(
                f"{where} names {name!r}{near_match(name, PACKAGES)}; dialects are those of {known}"
            )
        versions[name] = version
    if "lme4" not in versions:
        raise DataError(f"{where} is {text!r}: it must name a version of lme4 too")
    return _of_versions(versions)


@dataclass(frozen=True)
class Options:
    """
    Attributes
    ----------
    dialect : str, optional
        Whose text everything is printed in: ``"newest"``, a version of lme4 such as ``"1.1-31"``,
        or versions, ``"lme4 1.1-31, emmeans 1.8.4, pbkrtest 0.5.2"``. ``None``: what the
        environment variable ``LMERBRIDGE_DIALECT`` names; else that of the lme4 that fitted, and of
        fits without R the newest.
    """

    dialect: str | None = None


_current = Options()


def options(**changes: Any) -> Options:
    """Change how everything is printed in this Python session, as R's ``options`` does.

    Parameters
    ----------
    **changes
        Attributes of :class:`Options`; ``None`` restores a default. Without any nothing changes.

    Returns
    -------
    Options
        The options as they were before: ``options(**vars(before))`` restores them.

    Raises
    ------
    DataError
        An unknown option, or a dialect that is none.
    """
    global _current  # a default of the session, as in R
    before = _current
    known = [field.name for field in fields(Options)]
    for name, value in changes.items():
        if name.endswith("doublevert.default"):
            raise DataError(
                f"{name} is no option here: || is what it is by default in lme4; write diag(x | g) "
                "for what 'diag_special' makes of (x || g)"
            )
        if name not in known:
            raise DataError(
                f"no option {name!r}{near_match(name, known)}; there are {', '.join(known)}"
            )
        if value is not None:
            _read(value, name)
    _current = replace(before, **changes)
    return before


def _chosen() -> Dialect | None:
    """What :func:`options` or the environment names.

    Raises
    ------
    DataError
        ``LMERBRIDGE_DIALECT`` names no dialect.
    """
    if _current.dialect is not None:
        return _read(_current.dialect, "dialect")
    text = os.environ.get(DIALECT_VARIABLE, "")
    return _read(text, DIALECT_VARIABLE) if text.strip() else None


def without_r() -> Dialect:
    """The dialect of what R had no part in: the chosen one, or the newest.

    Raises
    ------
    DataError
        ``LMERBRIDGE_DIALECT`` names no dialect.
    """
    return _chosen() or NEWEST


def residual_shown(result: FitResult) -> bool:
    """Say whether the variance components of a fit have a residual row."""
    shown = not result.call.generalized or dialect_of(result).family_residual_shown
    return result.estimates.sigma is not None and shown


def dialect_of(result: FitResult) -> Dialect:
    """The dialect that a fit is printed in: the chosen one, or that of the lme4 that fitted, or
    the newest.

    Raises
    ------
    DataError
        ``LMERBRIDGE_DIALECT`` names no dialect.
    """
    made = result.provenance
    by_lme4 = made.package == "lme4" and "lme4" in made.versions
    return _chosen() or (_of_versions(made.versions) if by_lme4 else NEWEST)
