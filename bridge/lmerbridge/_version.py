"""The version of lmerbridge, once."""

__version__ = "0.1.0"
