"""The version of lmerbridge, once."""

__all__ = ["__version__"]

__version__ = "0.1.0"
