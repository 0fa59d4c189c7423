"""A family: a distribution of the response with a link."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmerbridge.errors import ArgumentError, DataError
from lmerbridge.family.distribution import Distribution
from lmerbridge.family.links import Array, Link
from lmerbridge.family.negative_binomial import NegativeBinomial
from lmerbridge.family.rows import Rows, ThetaDerivatives, in_blocks

__all__ = ["Family"]

BLOCK = 8192  # rows: 64 KB an array
ALMOST_ZERO = 1e-50  # a linear predictor whose square's third power is still a number


@dataclass(frozen=True, repr=False)
class Family:
    """A distribution of the response and the link of its mean to the linear predictor.

    Arrays are float64, one number a row: ``y`` (n,) the response (of a binomial the proportion of
    successes), ``mu`` its means, ``eta`` linear predictors, ``weights`` the prior weights (of a
    binomial the numbers of trials).

    Attributes
    ----------
    distribution : Distribution
        What it is without the link.
    link : Link

    See Also
    --------
    lmerbridge.family.families : makes families.
    """

    distribution: Distribution
    link: Link

    def __repr__(self) -> str:
        of = "" if self.theta is None else f"theta={self.theta!r}, "
        word = "negative_binomial" if of else self.name.replace(".", "_")
        return f"{word}({of}link={self.link.name!r})"

    @property
    def name(self) -> str:
        """The name as R prints it: ``binomial``, ``Negative Binomial(1.234)``."""
        return self.distribution.name

    @property
    def dispersion(self) -> float | None:
        """The dispersion phi where it is known, 1; ``None`` where it is estimated."""
        return self.distribution.dispersion

    @property
    def theta(self) -> float | None:
        """The size of a negative binomial; ``None`` for other families."""
        return self.distribution.theta

    def variance(self, mu: Array, order: int = 0) -> Array:
        """Return the variance function V(mu), or its derivative in mu of an order up to 3.

        Parameters
        ----------
        mu : array, (n,)
            Means.
        order : int
            Of the derivative in mu: 0, the function itself, to 3.
        """
        return self.distribution.variance(mu, order)

    def deviance_residuals_squared(self, y: Array, mu: Array, weights: Array) -> Array:
        """Return the parts of the deviance, w d(y, mu), (n,); R's ``dev.resids``.

        Parameters
        ----------
        y : array, (n,)
            The response.
        mu : array, (n,)
            Means.
        weights : array, (n,)
            Prior weights.
        """
        return weights * self.distribution.unit_deviance(y, mu)

    def aic(
        self, y: Array, mu: Array, weights: Array, dev: float, sizes: Array | None = None
    ) -> float:
        """Return R's ``family$aic``: minus twice the log-likelihood, by R's conventions.

        Where the dispersion is estimated, it is the deviance over the sum of the weights (of rows,
        for the normal), and 2 is added for it; weights multiply the log densities, other than in
        :meth:`log_density`. The numbers of successes are rounded.

        Parameters
        ----------
        y, mu, weights : array, (n,)
        dev : float
            The deviance; of use where the dispersion is estimated.
        sizes : array (n,), optional
            Of a binomial the numbers of trials where the response was two columns; 1 if not given.
        """
        n = np.ones_like(mu) if sizes is None else sizes
        return self.distribution.aic(y, mu, weights, dev, n)

    def aic_slope(self, y: Array, weights: Array, dev: float) -> float:
        """Return the derivative of :meth:`aic` by the deviance.

        Parameters
        ----------
        y, weights : array, (n,)
        dev : float
            The deviance.
        """
        rows = np.ones_like(y) if self.name == "gaussian" else weights
        total = float(rows.sum())
        # at mu = y: what the normalizer alone depends on
        slope, _ = self.distribution.dispersion_derivatives(y, y, np.ones_like(y), dev / total)
        return -2 * float(rows @ slope) / total

    def value(self, y: Array, eta: Array, weights: Array) -> Array:
        """Return the log density for a dispersion of 1 without what is free of eta, (n,).

        What :attr:`Rows.value` is, alone: for a line search.

        Parameters
        ----------
        y : array, (n,)
            The response.
        eta : array, (n,)
            Linear predictors.
        weights : array, (n,)
            Prior weights.
        """
        return weights * self.distribution.value(y, eta, self.link)

    def normalizer(self, y: Array, weights: Array, phi: float = 1.0) -> Array:
        """Return the part of the log density that is free of eta, (n,).

        ``log_density = value / phi + normalizer``. That of a negative binomial depends on theta,
        those of the normal, the gamma and the inverse Gaussian on phi.

        Parameters
        ----------
        y : array, (n,)
            The response.
        weights : array, (n,)
            Prior weights.
        phi : float
            The dispersion; of no effect where it is known.
        """
        return self.distribution.normalizer(y, weights, phi)

    def log_density(self, y: Array, eta: Array, weights: Array, phi: float = 1.0) -> Array:
        """Return the log density of each row, with all its parts, (n,).

        The normal's variance is phi / w, the gamma's shape w / phi, the inverse Gaussian's
        dispersion phi / w; the weights of a binomial are its numbers of trials (numbers that are
        not whole are taken by the gamma function), those of the others with a dispersion of 1
        multiply the log density. A row of weight 0 has 0.

        Parameters
        ----------
        y : array, (n,)
            The response.
        eta : array, (n,)
            Linear predictors.
        weights : array, (n,)
            Prior weights.
        phi : float
            The dispersion; of no effect where it is known.
        """
        return self.value(y, eta, weights) / phi + self.normalizer(y, weights, phi)

    def derivatives(
        self,
        y: Array,
        eta: Array,
        weights: Array | None,
        order: int = 1,
        out: Rows | None = None,
    ) -> Rows:
        """Compute log densities and their derivatives in eta, for a dispersion of 1.

        For another dispersion, divide each by it.

        Parameters
        ----------
        y, eta : array, (n,)
        weights : array (n,), optional
            All 1 if ``None``, which costs less.
        order : int
            1: l, the score and the expected information W; 2: and the observed information h; 3:
            and the first derivatives of W and h in eta; 4: and the second.
        out : Rows, optional
            An earlier answer that is no longer needed: its arrays may be written over, which takes
            half the time of asking for new memory. Neither ``y`` nor ``eta`` may be among them.

        Returns
        -------
        Rows
        """
        if self.link.name == "sqrt" and not eta.all():
            # what is 0 / 0 there has a limit where y is 0
            eta = np.where(eta == 0, ALMOST_ZERO, eta)

        def block(rows: slice) -> Rows:
            some = None if weights is None else weights[rows]
            return self.distribution.rows(y[rows], eta[rows], some, self.link, order)

        if len(eta) <= BLOCK:
            return block(slice(None))
        return in_blocks(block, len(eta), BLOCK, out)

    def theta_derivatives(self, y: Array, eta: Array, weights: Array | None) -> ThetaDerivatives:
        """Compute derivatives in the size theta of a negative binomial, at a given eta.

        Parameters
        ----------
        y : array, (n,)
            The response.
        eta : array, (n,)
            Linear predictors.
        weights : array (n,), optional
            Prior weights; all 1 if ``None``.

        Returns
        -------
        ThetaDerivatives

        Raises
        ------
        ArgumentError
            The family has no theta.
        """
        if isinstance(self.distribution, NegativeBinomial):
            return self.distribution.theta_derivatives(y, eta, weights, self.link)
        raise ArgumentError(f"{self!r} has no theta: only the negative binomial has one")

    def dispersion_derivatives(
        self, y: Array, eta: Array, weights: Array, phi: float
    ) -> tuple[Array, Array]:
        """Compute the first and the second derivative of the log density in phi, (n,) each.

        They are 0 where the dispersion is known.

        Parameters
        ----------
        y : array, (n,)
            The response.
        eta : array, (n,)
            Linear predictors.
        weights : array, (n,)
            Prior weights.
        phi : float
            The dispersion; of no effect where it is known.
        """
        mu = self.link.inverse(eta)
        return self.distribution.dispersion_derivatives(y, mu, weights, phi)

    def initial_mu(self, y: Array, weights: Array) -> Array:
        """Return the means that an iteration begins at; R's ``mustart``.

        Parameters
        ----------
        y : array, (n,)
            The response.
        weights : array, (n,)
            Prior weights.
        """
        return self.distribution.initial_mu(y, weights)

    def valid_mu(self, mu: Array) -> bool:
        """Return whether the distribution has these means; R's ``validmu``.

        Parameters
        ----------
        mu : array, (n,)
            Means.
        """
        return self.distribution.valid_mu(mu)

    def check_response(self, y: Array, weights: Array) -> tuple[str, ...]:
        """Say what is odd about a response.

        Parameters
        ----------
        y : array, (n,)
            The response.
        weights : array, (n,)
            Prior weights.

        Returns
        -------
        tuple of str
            What R would warn of: ``non-integer #successes in a binomial glm!``.

        Raises
        ------
        DataError
            The distribution has no such value; with R's words and the first such row.
        """
        refused = self.distribution.refusal(y)
        if refused is None and self.name == "gaussian" and self.link.name in ("log", "inverse"):
            wrong = y <= 0 if self.link.name == "log" else y == 0
            if wrong.any():
                refused = "cannot find valid starting values: please specify some", wrong
        if refused is not None:
            text, wrong = refused
            row = int(np.flatnonzero(wrong)[0])
            raise DataError(
                f"{text}: the response is {y[row]:g} in row {row + 1}"
                f" ({int(wrong.sum())} of {len(y)} rows; family {self!r})"
            )
        said = self.distribution.oddity(y, weights)
        return () if said is None else (said,)

    def simulate(self, mu: Array, weights: Array, phi: float, rng: np.random.Generator) -> Array:
        """Simulate a response with these means, (n,).

        A binomial gives proportions of as many trials as the weights say, rounded; not a number
        where there are none, or where the weight of a normal, gamma or inverse Gaussian row is 0.
        Weights are of no effect for the Poisson and the negative binomial.

        Parameters
        ----------
        mu : array, (n,)
            Means.
        weights : array, (n,)
            Prior weights.
        phi : float
            The dispersion; of no effect where it is known.
        rng : numpy.random.Generator
        """
        return self.distribution.simulate(mu, weights, phi, rng)

    def cdf(self, y: Array, mu: Array, weights: Array, phi: float = 1.0) -> Array:
        """Return the probability of a response of at most y, (n,).

        Weights are those of :meth:`simulate`.

        Parameters
        ----------
        y : array, (n,)
            The response.
        mu : array, (n,)
            Means.
        weights : array, (n,)
            Prior weights.
        phi : float
            The dispersion; of no effect where it is known.
        """
        return self.distribution.cdf(y, mu, weights, phi)

    def cdf_below(self, y: Array, mu: Array, weights: Array, phi: float = 1.0) -> Array:
        """Return the probability of a response below y, (n,): that of :meth:`cdf` where there are
        no jumps.

        A randomized quantile residual is drawn between the two (Dunn & Smyth 1996).

        Parameters
        ----------
        y : array, (n,)
            The response.
        mu : array, (n,)
            Means.
        weights : array, (n,)
            Prior weights.
        phi : float
            The dispersion; of no effect where it is known.
        """
        return self.distribution.cdf_below(y, mu, weights, phi)
