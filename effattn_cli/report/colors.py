"""When answers have colours; what `cli` has to know of it before it loads rich."""

from collections.abc import Mapping
from typing import Literal

When = Literal["auto", "always", "never"]
System = Literal["auto", "standard"] | None

VARIABLE = "EFFATTN_COLOR"  # holds what `--color` says
SYSTEMS: Mapping[str, System] = {"auto": "auto", "always": "standard", "never": None}
