"""What distributions with V(mu) = mu^k have in common: Poisson, gamma, inverse Gaussian, normal.

With g = (dmu/deta) / V(mu), the score is w (y - mu) g, the expected information w mu' g and the
observed one w (mu' g - (y - mu) g') (McCullagh & Nelder 1989, section 2.5). With a link that is a
logarithm or a power, g is an exponential or a power of eta itself.
"""

from __future__ import annotations

from lmerbridge.family.links import EXPONENTS, Array, Link, exponential, powers_of
from lmerbridge.family.rows import Rows, rows

__all__ = ["rows_of_power", "score_factor", "variance_of_power"]


def variance_of_power(k: float, mu: Array, order: int) -> Array:
    """Return the derivative of this order of mu^k."""
    return powers_of(mu, k, 1.0, order)[order]


def score_factor(k: float, link: Link, eta: Array, order: int) -> tuple[Array, ...]:
    """Return g = (dmu/deta) / mu^k and its derivatives in eta up to ``order``."""
    if link.name == "log":
        return exponential(eta, 1.0 - k, order)
    p = EXPONENTS[link.name]
    return powers_of(eta, p - 1 - p * k, p, order)


def rows_of_power(
    k: float,
    value: Array,
    y: Array,
    eta: Array,
    weights: Array | None,
    link: Link,
    order: int,
) -> Rows:
    """Return the rows of a distribution with V(mu) = mu^k, whose log densities are ``value``."""
    m = link.of_order(eta, max(order - 1, 1))
    g = score_factor(k, link, eta, max(order - 1, 0))
    rest = y - m[0]
    expected, observed = [m[1] * g[0]], []
    if order >= 2:
        observed.append(expected[0] - rest * g[1])
    if order >= 3:
        expected.append(m[2] * g[0] + m[1] * g[1])
        observed.append(m[2] * g[0] + 2 * m[1] * g[1] - rest * g[2])
    if order >= 4:
        expected.append(m[3] * g[0] + 2 * m[2] * g[1] + m[1] * g[2])
        observed.append(m[3] * g[0] + 3 * (m[2] * g[1] + m[1] * g[2]) - rest * g[3])
    if is_canonical(k, link):
        observed = expected
    return rows(value, rest * g[0], expected, observed, weights, order)


def is_canonical(k: float, link: Link) -> bool:
    """Whether g is constant: then the observed information is the expected one."""
    return (link.name == "log" and k == 1) or EXPONENTS.get(link.name, 0) * (1 - k) == 1
