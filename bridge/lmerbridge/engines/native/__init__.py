"""Our own engine: penalized least squares on numpy and scipy."""

from lmerbridge.engines.native.engine import NativeEngine

__all__ = ["NativeEngine"]
