"""The plugin registry: which variants there are, what they say of themselves, and their classes.

Names come from file names, cards and options from the source text: nothing is imported, and torch
is not needed, until `load`.
"""

from effattn_cli.catalog.loading import load
from effattn_cli.catalog.registry import Catalog
from effattn_cli.catalog.sources import (
    BrokenPlugin,
    Source,
    bundled_names,
    installed,
    name_of,
    named,
)

__all__ = [
    "BrokenPlugin",
    "Catalog",
    "Source",
    "bundled_names",
    "installed",
    "load",
    "name_of",
    "named",
]
