"""Write ``schema.json`` from the dataclasses: ``python -m lmerbridge.result.write_schema``."""

from __future__ import annotations

import json
from pathlib import Path

from lmerbridge.result.json_form import json_schema


def main() -> None:
    """Write the file beside this one."""
    path = Path(__file__).with_name("schema.json")
    path.write_text(json.dumps(json_schema(), indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
