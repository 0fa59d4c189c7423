"""The binomial distribution: y is a proportion, its weight the number of trials.

With A = log mu(eta) and B = log(1 - mu(eta)), the log density is w (y A + (1 - y) B) and the rest
is of derivatives of A and B: the score w (y A' + (1 - y) B'), the observed information
-w (y A'' + (1 - y) B''), the expected one -w A' B'. Each link has them in closed form, by what does
not cancel: so they are exact far out in the tails, where mu is 0 or 1 as a float.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from lmerbridge.family.distribution import Refusal
from lmerbridge.family.links import LARGEST_EXPONENT, Array, Link, exponential, logistic
from lmerbridge.family.rows import Rows, rows

__all__ = ["Binomial", "log_probabilities"]

# below minus this, the hazard of a normal distribution is taken from its continued fraction
NORMAL_TAIL = 4.0
FRACTIONS = 24
# B_2k / (2k)!, the factor of t^2k in t / (exp(t) - 1)
BERNOULLI = (
    1 / 12,
    -1 / 720,
    1 / 30240,
    -1 / 1209600,
    1 / 47900160,
    -691 / 1307674368000,
    1 / 74724249600,
    -3617 / 10670622842880000,
    43867 / 5109094217170944000,
)
Parts = tuple[tuple[Array, ...], tuple[Array, ...]]


def log_probabilities(link: Link, eta: Array, order: int) -> Parts:
    """Return A = log mu and B = log(1 - mu) with their derivatives in eta up to ``order``.

    Parameters
    ----------
    link : Link
    eta : array, (n,)
    order : int
        At most 4.

    Returns
    -------
    tuple of two tuples of ``order + 1`` arrays (n,)
    """
    special_case = {"logit": _logit, "cloglog": _cloglog, "log": _log}.get(link.name)
    if special_case is not None:
        return special_case(eta, order)
    if link.name == "probit":
        return _probit(eta, order)
    if link.name == "cauchit":
        return (
            _log_of(link.of_order(eta, order)),
            _mirrored(_log_of(link.of_order(-eta, order))),
        )
    means = link.of_order(eta, order)
    second = _log_of((1 - means[0], *(-m for m in means[1:])))
    with np.errstate(divide="ignore", invalid="ignore"):
        return _log_of(means), (np.log1p(-means[0]), *second[1:])


def _mirrored(parts: tuple[Array, ...]) -> tuple[Array, ...]:
    """The derivatives of f(-eta) from those of f at -eta."""
    return tuple(-part if k % 2 else part for k, part in enumerate(parts))


def _log_of(f: tuple[Array, ...]) -> tuple[Array, ...]:
    """The derivatives of log f from those of f."""
    with np.errstate(divide="ignore", invalid="ignore"):
        # moments to cumulants: Stuart & Ord 1994, section 3.14
        log = np.log(f[0])
        ratios = [part / f[0] for part in f[1:]]
        if not ratios:
            return (log,)
        a = ratios[0]
        found = [log, a]
        if len(ratios) > 1:
            found.append(ratios[1] - a * a)
        if len(ratios) > 2:
            found.append(ratios[2] - 3 * a * ratios[1] + 2 * a**3)
        if len(ratios) > 3:
            b = ratios[1]
            found.append(ratios[3] - 4 * a * ratios[2] - 3 * b * b + 12 * a * a * b - 6 * a**4)
    return tuple(found)


def _logit(eta: Array, order: int) -> Parts:
    excess = np.log1p(np.exp(-np.abs(eta)))
    first = np.minimum(eta, 0) - excess
    second = -np.maximum(eta, 0) - excess
    if order == 0:
        return (first,), (second,)
    p, *more = logistic(eta, order - 1)
    both = [-part for part in more]
    return (first, logistic(-eta, 0)[0], *both), (second, -p, *both)


def _log(eta: Array, order: int) -> Parts:
    zero = np.zeros_like(eta)
    first = (eta, np.ones_like(eta), zero, zero, zero)[: order + 1]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # the log of 1 - exp(eta), from the side on which nothing cancels
        near = np.log(-np.expm1(eta))
        far = np.log1p(-np.exp(np.minimum(eta, 0.0)))
        second = [np.where(eta > -0.7, near, far)]
        odds = 1 / np.expm1(-eta)
        factors = (odds, odds * (1 + odds))
        second += [-factor for factor in factors[:order]]
        if order >= 3:
            second.append(-odds * (1 + odds) * (1 + 2 * odds))
        if order >= 4:
            second.append(-odds * (1 + odds) * (1 + 6 * odds * (1 + odds)))
    return first, tuple(second)


def _cloglog(eta: Array, order: int) -> Parts:
    # t = exp(eta), A = log(1 - exp(-t)); f = A' = t / (exp(t) - 1), f' = f u with u = 1 - t - f
    t = exponential(eta, 1.0, 0)[0]
    second = (-t,) * (order + 1)
    with np.errstate(divide="ignore"):
        first = [np.where(t < 0.7, np.log(-np.expm1(-t)), np.log1p(-np.exp(-t)))]
    if (low := eta < -LARGEST_EXPONENT).any():
        first[0] = np.where(low, eta, first[0])  # t is 0 there, or nearly
    if order == 0:
        return tuple(first), second
    with np.errstate(invalid="ignore"):
        f = np.where(t > 0, t * np.exp(-t) / -np.expm1(-t), 1.0)
    first.append(f)
    if order == 1:
        return tuple(first), second
    small = np.minimum(t, 1.0)
    square = small * small
    series = np.full_like(t, BERNOULLI[-1])
    for factor in BERNOULLI[-2::-1]:
        series = series * square + factor
    u = np.where(t < 1, -0.5 * small - square * series, 1 - t - f)
    f1 = f * u
    first.append(f1)
    if order >= 3:
        u1 = -t - f1
        f2 = f1 * u + f * u1
        first += [f2, f2 * u + 2 * f1 * u1 - f * (t + f2)][: order - 2]
    return tuple(first), second


def _probit(eta: Array, order: int) -> Parts:
    # both tails by one function: with x = |eta|, 1 - Phi(x) = erfcx(x / sqrt(2)) exp(-x^2 / 2) / 2
    scaled = special.erfcx(np.abs(eta) / np.sqrt(2))
    with np.errstate(over="ignore"):
        exponent = -0.5 * eta * eta
    density = np.exp(exponent)
    tail = 0.5 * scaled * density
    with np.errstate(divide="ignore"):
        small, large = np.log(0.5 * scaled) + exponent, np.log1p(-tail)
        inside = np.sqrt(2 / np.pi) / scaled
    outside = density / (np.sqrt(2 * np.pi) * (1 - tail))
    below = eta < 0
    first = np.where(below, small, large), np.where(below, inside, outside)
    second = np.where(below, large, small), np.where(below, outside, inside)
    return _normal(eta, *first, order), _mirrored(_normal(-eta, *second, order))


def _normal(eta: Array, log_p: Array, hazard: Array, order: int) -> tuple[Array, ...]:
    """The log of the normal distribution function and its derivatives.

    With the hazard H(x) = phi(x) / (1 - Phi(x)) at x = -eta: A' = H, A'' = -H (H - x), ... In the
    tail H - x cancels, so it comes from Laplace's continued fraction (Abramowitz & Stegun 26.2.14)
    H = x + D, D = 1 / (x + 2 K), K = 1 / (x + 3 L), L = 1 / (x + 4 P), ..., and so do the
    derivatives: D' = -D (2K - D), K' = -K (3L - 2K), L' = -L (4P - 3L).
    """
    found = [log_p, hazard][: order + 1]
    if order <= 1:
        return tuple(found)
    excess = hazard + eta
    with np.errstate(over="ignore", invalid="ignore"):
        both = hazard + excess
        inner = excess * both - 1
        found.append(-hazard * excess)
        if order >= 3:
            found.append(hazard * inner)
        if order >= 4:
            # the derivative in x of H (D (H + D) - 1), D' = H D - 1, H' = H D; then the sign
            change = (hazard * excess - 1) * (both + excess) + excess * (hazard * excess)
            found.append(-hazard * (excess * inner + change))
    far = hazard == 0  # eta > 38: all derivatives are 0
    if far.any():
        found[2:] = [np.where(far, 0.0, part) for part in found[2:]]
    tail = np.flatnonzero(eta < -NORMAL_TAIL)
    if len(tail):
        for part, exact in zip(found[2:], _normal_tail(-eta[tail], order), strict=True):
            part[tail] = exact
    return tuple(found)


def _normal_tail(x: Array, order: int) -> list[Array]:
    fraction = np.zeros_like(x)
    for k in range(FRACTIONS, 4, -1):
        fraction = 1 / (x + k * fraction)
    p = fraction
    l_ = 1 / (x + 4 * p)
    k_ = 1 / (x + 3 * l_)
    d = 1 / (x + 2 * k_)
    hazard = x + d
    if order == 2:
        return [-hazard * d]
    g = 3 * l_ - 2 * k_
    third = 2 * hazard * d * d * k_ * g
    slope = -3 * l_ * (4 * p - 3 * l_) + 2 * k_ * g  # of g, in x
    inner = d * g - 2 * (2 * k_ - d) * g - g * g + slope
    return [-hazard * d, third, -third / g * inner][: order - 1]


def _logit_rows(y: Array, eta: Array, weights: Array | None, order: int) -> Rows:
    """The canonical link, with few passes over the rows: this is the inside of most fits."""
    small = np.abs(eta)
    np.negative(small, out=small)
    np.exp(small, out=small)
    # so that the tails cancel exactly where y is 0 or 1; by the sign that copysign() sees in a 0
    score = y - ~np.signbit(eta)
    value = score * eta
    value -= np.log1p(small)
    larger = 1 + small
    np.divide(1, larger, out=larger)
    small *= larger  # the smaller of p and 1 - p
    score += np.copysign(small, eta)
    information = small * larger
    infos = [information]
    if order >= 3:
        difference = np.copysign(larger - small, eta)
        infos.append(-information * difference)
    if order >= 4:
        infos.append(information * (1 - 6 * information))
    return rows(value, score, infos, infos, weights, order)


@dataclass(frozen=True)
class Binomial:
    """The binomial distribution."""

    name: str = "binomial"
    links: tuple[str, ...] = ("logit", "probit", "cloglog", "cauchit", "log", "identity")
    dispersion: float | None = 1.0
    theta: float | None = None

    def variance(self, mu: Array, order: int) -> Array:
        zero = np.zeros_like(mu)
        parts: tuple[Array, ...] = (mu * (1 - mu), 1 - 2 * mu, zero - 2, zero)
        return parts[order]

    def unit_deviance(self, y: Array, mu: Array) -> Array:
        return 2 * (special.rel_entr(y, mu) + special.rel_entr(1 - y, 1 - mu))

    def value(self, y: Array, eta: Array, link: Link) -> Array:
        a, b = log_probabilities(link, eta, 0)
        return y * a[0] + (1 - y) * b[0]

    def rows(self, y: Array, eta: Array, weights: Array | None, link: Link, order: int) -> Rows:
        if link.name == "logit":
            return _logit_rows(y, eta, weights, order)
        a, b = log_probabilities(link, eta, order)
        rest = 1 - y
        observed = [-(y * a[k] + rest * b[k]) for k in range(2, order + 1)]
        expected = [-a[1] * b[1]]
        if order >= 3:
            expected.append(-(a[2] * b[1] + a[1] * b[2]))
        if order >= 4:
            expected.append(-(a[3] * b[1] + 2 * a[2] * b[2] + a[1] * b[3]))
        value, score = y * a[0] + rest * b[0], y * a[1] + rest * b[1]
        return rows(value, score, expected, observed, weights, order)

    def normalizer(self, y: Array, weights: Array, phi: float) -> Array:
        hits = weights * y
        return (
            special.gammaln(weights + 1)
            - special.gammaln(hits + 1)
            - special.gammaln(weights - hits + 1)
        )

    def dispersion_derivatives(
        self, y: Array, mu: Array, weights: Array, phi: float
    ) -> tuple[Array, Array]:
        zero = np.zeros_like(mu)
        return zero, zero

    def aic(self, y: Array, mu: Array, weights: Array, dev: float, sizes: Array) -> float:
        m = sizes if np.any(sizes > 1) else weights
        share = np.divide(weights, m, out=np.zeros_like(mu), where=m > 0)
        n = np.rint(m)
        hits = np.rint(m * y)
        density = (
            special.xlogy(hits, mu)
            + special.xlog1py(n - hits, -mu)
            + self.normalizer(np.divide(hits, n, out=np.zeros_like(mu), where=n > 0), n, 1.0)
        )
        return float(-2 * np.sum(share * density))

    def initial_mu(self, y: Array, weights: Array) -> Array:
        return (weights * y + 0.5) / (weights + 1)

    def valid_mu(self, mu: Array) -> bool:
        return bool(np.all((mu > 0) & (mu < 1)))

    def refusal(self, y: Array) -> Refusal | None:
        wrong = ~((y >= 0) & (y <= 1))
        return ("y values must be 0 <= y <= 1", wrong) if wrong.any() else None

    def oddity(self, y: Array, weights: Array) -> str | None:
        hits = weights * y
        if np.any(np.abs(hits - np.rint(hits)) > 1e-3):
            return "non-integer #successes in a binomial glm!"
        return None

    def simulate(self, mu: Array, weights: Array, phi: float, rng: np.random.Generator) -> Array:
        n = np.rint(weights)
        drawn = rng.binomial(n.astype(np.int64), mu).astype(float)
        return np.where(n > 0, drawn / np.maximum(n, 1), np.nan)

    def cdf(self, y: Array, mu: Array, weights: Array, phi: float) -> Array:
        return self._up_to(np.floor(weights * y + 1e-7), mu, weights)

    def cdf_below(self, y: Array, mu: Array, weights: Array, phi: float) -> Array:
        return self._up_to(np.ceil(weights * y - 1e-7) - 1, mu, weights)

    def _up_to(self, hits: Array, mu: Array, weights: Array) -> Array:
        inside = np.clip(hits, 0, np.maximum(weights - 1, 0))
        found = special.betaincc(inside + 1, np.maximum(weights - inside, 1), mu)
        return np.where(hits < 0, 0.0, np.where(hits >= weights, 1.0, found))
