"""The checkout that the tests are in: what they read is there, and not all of it in the wheel."""

import importlib.util
from pathlib import Path
from types import ModuleType

CHECKOUT = Path(__file__).parent.parent
REFERENCE = CHECKOUT / "reference"


def loaded(name: str) -> ModuleType:
    """A script of the folder ``scripts`` as a module."""
    spec = importlib.util.spec_from_file_location(name, CHECKOUT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
