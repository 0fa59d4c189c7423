from lmerbridge.testing import EngineContract


class TestOneFactor(EngineContract):
    engine = "one-factor"
