"""What a family's class of configs takes where a key is left out.

transformers writes only the keys that differ from these into a config.json, so that a file may well
lack the number of its layers. The table is made from the package by
`python benchmarks/model_configs.py --usual`.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parent / "usual.json"


@cache
def _table() -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = json.loads(TABLE.read_text(encoding="utf-8"))
    return table


def usual(family: object) -> Mapping[str, Any]:
    """Of a `model_type`, by key; of one that the package does not have, nothing."""
    return _table().get(family, {}) if isinstance(family, str) else {}
