"""How many replications are made by default."""

__all__ = ["OF_INTERVALS", "OF_TESTS"]

OF_INTERVALS = 500  # of a bootstrap
OF_TESTS = 1000  # under the null hypothesis
