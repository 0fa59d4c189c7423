"""Documents of earlier schemas, brought to the one that is written today.

Fields may be added to a schema without a step here: what a document lacks has its default, and what
it has beyond is kept. A step is for what is renamed or means something else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lmerbridge.errors import DataError
from lmerbridge.result.schema import SCHEMA

__all__ = ["UPGRADES", "upgraded"]

Document = dict[str, Any]
# per schema what makes a document of the next one of it; it must name that in "schema"
UPGRADES: Mapping[str, Callable[[Document], Document]] = {}


def upgraded(
    document: Any, steps: Mapping[str, Callable[[Document], Document]] = UPGRADES
) -> Document:
    """Bring a JSON document to today's schema, step by step.

    Raises
    ------
    DataError
        It is no object, or names a schema that is neither today's nor an earlier one.
    """
    if not isinstance(document, dict):
        raise DataError(f"not a {SCHEMA} document: it is no JSON object")
    found: Document = document
    seen = found.get("schema")
    while found.get("schema") != SCHEMA:
        step = steps.get(str(found.get("schema")))
        if step is None:
            newer = isinstance(seen, str) and seen.startswith("lmerbridge/")
            hint = "; a newer lmerbridge may have written it" if newer else ""
            raise DataError(f"not a {SCHEMA} document (schema: {seen!r}){hint}")
        found = step(found)
    return found
