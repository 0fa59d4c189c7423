"""Families of generalized linear models, by their names in R (with ``_`` for ``.``).

>>> import lmerbridge as lb
>>> lb.families.binomial("probit")
binomial(link='probit')
>>> lb.families.family_of("Gamma(log)")
Gamma(link='log')
"""

from __future__ import annotations

import re
from dataclasses import replace

from lmerbridge.errors import ArgumentError, as_number, near_match
from lmerbridge.family.binomial import Binomial
from lmerbridge.family.continuous import Gamma as _Gamma
from lmerbridge.family.continuous import Gaussian, InverseGaussian
from lmerbridge.family.distribution import Distribution
from lmerbridge.family.family import Family
from lmerbridge.family.links import LINKS, Link
from lmerbridge.family.negative_binomial import NegativeBinomial
from lmerbridge.family.poisson import Poisson

__all__ = [
    "Family",
    "Gamma",
    "binomial",
    "family_of",
    "gaussian",
    "inverse_gaussian",
    "negative_binomial",
    "poisson",
    "with_theta",
]

_DISTRIBUTIONS: dict[str, Distribution] = {
    "binomial": Binomial(),
    "poisson": Poisson(),
    "Gamma": _Gamma(),
    "inverse.gaussian": InverseGaussian(),
    "gaussian": Gaussian(),
}
_KNOWN = (*_DISTRIBUTIONS, "negative.binomial")
_CALL = re.compile(r"\s*(?:[\w.]+::)?([\w.]+)\s*(?:\((.*)\))?\s*", re.S)
_ARGUMENT = re.compile(r"""\s*(?:(\w+)\s*=\s*)?("[^"]*"|'[^']*'|[^,"'()]+)\s*""")


def binomial(link: str | Link = "logit") -> Family:
    """Make the binomial family.

    Parameters
    ----------
    link : str or Link
        logit, probit, cloglog, cauchit, log or identity.

    Raises
    ------
    ArgumentError
        The family has no such link.
    """
    return _with_link(_DISTRIBUTIONS["binomial"], link)


def poisson(link: str | Link = "log") -> Family:
    """Make the Poisson family.

    Parameters
    ----------
    link : str or Link
        log, identity or sqrt.

    Raises
    ------
    ArgumentError
        The family has no such link.
    """
    return _with_link(_DISTRIBUTIONS["poisson"], link)


def Gamma(link: str | Link = "inverse") -> Family:
    """Make the gamma family; its dispersion is estimated.

    Parameters
    ----------
    link : str or Link
        inverse, identity or log.

    Raises
    ------
    ArgumentError
        The family has no such link.
    """
    return _with_link(_DISTRIBUTIONS["Gamma"], link)


def inverse_gaussian(link: str | Link = "1/mu^2") -> Family:
    """Make the inverse Gaussian family; its dispersion is estimated.

    Parameters
    ----------
    link : str or Link
        1/mu^2, inverse, identity or log.

    Raises
    ------
    ArgumentError
        The family has no such link.
    """
    return _with_link(_DISTRIBUTIONS["inverse.gaussian"], link)


def gaussian(link: str | Link = "identity") -> Family:
    """Make the normal family; its dispersion is estimated.

    Parameters
    ----------
    link : str or Link
        identity, log or inverse.

    Raises
    ------
    ArgumentError
        The family has no such link.
    """
    return _with_link(_DISTRIBUTIONS["gaussian"], link)


def negative_binomial(theta: float, link: str | Link = "log") -> Family:
    """Make the negative binomial family of a given size, with V(mu) = mu + mu^2 / theta.

    Parameters
    ----------
    theta : float
        The size, positive.
    link : str or Link
        log, sqrt or identity.

    Raises
    ------
    ArgumentError
        The family has no such link, or ``theta`` is no positive number.
    """
    size = as_number(theta, "theta")
    if size <= 0:
        raise ArgumentError(
            f"theta must be positive, not {theta!r}: it is the size, and not 1/size"
        )
    return _with_link(NegativeBinomial(size), link)


def with_theta(family: Family, theta: float) -> Family:
    """Change the size of a negative binomial family.

    Parameters
    ----------
    family : Family
    theta : float
        The size, positive.

    Raises
    ------
    ArgumentError
        It is no negative binomial, or ``theta`` is no positive number.
    """
    if family.theta is None:
        raise ArgumentError(f"{family!r} has no theta: only the negative binomial has one")
    return replace(negative_binomial(theta), link=family.link)


def family_of(family: str | Family) -> Family:
    """Read a family as R writes it.

    Parameters
    ----------
    family : str or Family
        ``"binomial"``, ``"binomial(probit)"``, ``'poisson(link = "sqrt")'``,
        ``"negative.binomial(theta = 2)"``; or a family, which is given back.

    Raises
    ------
    ArgumentError
        There is no such family, or it has no such link; the text says which there are.
    """
    if isinstance(family, Family):
        return family
    found = _CALL.fullmatch(family) if isinstance(family, str) else None
    if found is None:
        raise ArgumentError(
            f"family must be a text as R has it, such as 'binomial', not {family!r}"
        )
    name = found.group(1)
    _known(name)
    arguments = _arguments(found.group(2) or "", family, name)
    link = arguments.pop("link", None)
    if name in _DISTRIBUTIONS:
        distribution = _DISTRIBUTIONS[name]
        return _with_link(distribution, distribution.links[0] if link is None else link)
    if "theta" not in arguments:
        raise ArgumentError(
            "negative.binomial needs its size: negative.binomial(theta = 2) (glmer_nb estimates it)"
        )
    try:
        theta = float(arguments["theta"])
    except ValueError:
        raise ArgumentError(f"theta must be a number, not {arguments['theta']}") from None
    return negative_binomial(theta, "log" if link is None else link)


def _known(name: str) -> None:
    """Refuse a name of no family.

    Raises
    ------
    ArgumentError
    """
    if name.replace("_", ".") in _KNOWN and name not in _KNOWN:
        raise ArgumentError(f"R writes {name.replace('_', '.')}, not {name}")
    if name in _KNOWN:
        return
    if name.startswith("quasi"):
        raise ArgumentError(
            f'{name}: "quasi" families cannot be used in glmer: they have no likelihood to'
            " integrate over the random effects. For more variation than the family has, give each"
            " row a random effect of its own, or take negative.binomial for counts"
        )
    raise ArgumentError(
        f"there is no family {name!r}{near_match(name, _KNOWN)}; known are {', '.join(_KNOWN)}"
    )


def _arguments(text: str, whole: str, name: str) -> dict[str, str]:
    """The arguments in the brackets, by name; quotation marks are taken off.

    Raises
    ------
    ArgumentError
    """
    order = ["theta", "link"] if name == "negative.binomial" else ["link"]
    found: dict[str, str] = {}
    position = 0
    while position < len(text) and text.strip():
        match = _ARGUMENT.match(text, position)
        if match is None:
            raise ArgumentError(f"family: cannot read the arguments of {whole!r}")
        left = [one for one in order if one not in found]
        key = match.group(1) or (left[0] if left else "")
        if key not in left:
            raise ArgumentError(
                f"family: {name} takes {' and '.join(order)}, each once; it has no"
                f" {key or match.group(2).strip()!r} in {whole!r}"
            )
        found[key] = match.group(2).strip().strip("'\"")
        position = match.end()
        if position < len(text):
            if text[position] != ",":
                raise ArgumentError(f"family: cannot read the arguments of {whole!r}")
            position += 1
    return found


def _with_link(distribution: Distribution, link: str | Link) -> Family:
    """The family of a distribution with this link.

    Raises
    ------
    ArgumentError
    """
    known = distribution.links
    name = link.name if isinstance(link, Link) else link
    if not isinstance(name, str) or name not in known:
        what = "negative.binomial" if distribution.theta is not None else distribution.name
        raise ArgumentError(
            f"{what} has no link {name!r}{near_match(name, known)};"
            f" its links are {', '.join(known)}"
        )
    return Family(distribution, LINKS[name])
