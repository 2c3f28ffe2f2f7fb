"""Models that are known by name: their configs, with the keys that matter."""

import json
from functools import cache
from importlib import resources
from typing import Any

from msgspec.structs import replace

from effattn_cli.architecture import Model
from effattn_cli.errors import UsageError, unknown
from effattn_cli.models.reading import understood

FILE = "known_models.json"


@cache
def configs() -> dict[str, dict[str, Any]]:
    """By name."""
    text = resources.files("effattn_cli.models").joinpath(FILE).read_text(encoding="utf-8")
    return dict(json.loads(text))


def model(name: str) -> Model:
    """The model of that name."""
    return replace(understood(configs()[name], name), name=name)


def unknown_name(text: str) -> UsageError:
    """An error for a name that is none of theirs, and no file."""
    return unknown("model", text.rpartition("/")[2].lower(), configs())
