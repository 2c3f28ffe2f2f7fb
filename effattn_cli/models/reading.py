"""The model that a config.json describes, or the reason why it cannot be read."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from effattn_cli.architecture import Model
from effattn_cli.errors import UsageError, unknown
from effattn_cli.models.families import FAMILIES, REFUSED
from effattn_cli.models.families.foreign import recognised
from effattn_cli.models.keys import Keys
from effattn_cli.models.usual import usual
from effattn_cli.text_files import small_text

BY_HAND = "give the layers by hand: --layers gated-deltanet*36,gated-attention*12"
DTYPES = ("float64", "float32", "bfloat16", "float16")
MOST_BYTES = 16 << 20  # of a config: some list every token that they suppress


def read(path: Path) -> Model:
    """The model of a config.json, or of the one in a folder.

    Raises:
        UsageError: there is none, or it cannot be read right.
    """
    with suppress(OSError):  # a name too long for a path is no folder
        if path.is_dir():
            foreign = path / "params.json"
            path = path / "config.json"
            path = foreign if foreign.is_file() and not path.is_file() else path
    try:
        data = json.loads(small_text(path, MOST_BYTES))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not JSON: {error}") from error
    if not isinstance(data, dict):
        raise UsageError(f"{path}: not a model's config, which is an object with keys")
    model = understood(data, str(path))
    return replace(model, name=path.parent.name or path.stem)


def understood(data: Mapping[str, Any], name: str) -> Model:
    """The model that the keys of a config describe.

    Raises:
        UsageError: its family is not known, a key is missing or wrong, or one that speaks of the
            layers is not understood.
    """
    keys = Keys(data, name, usual(data.get("model_type")))
    family = recognised(data) if "model_type" not in keys else keys.word("model_type")
    if family is None:
        raise UsageError(f"{name}: there is no key 'model_type'", BY_HAND)
    if family in REFUSED:
        raise UsageError(f"{name}: {family} is not read: {REFUSED[family]}", BY_HAND)
    if family not in FAMILIES:
        error = unknown("model_type", family, FAMILIES)
        near = error.hint if (error.hint or "").startswith("did you mean") else BY_HAND
        raise UsageError(f"{name}: {error}", near)
    model = FAMILIES[family](keys)
    if overlooked := list(keys.overlooked()):
        message = f"{name}: {overlooked[0]} is not understood of the family {family}"
        raise UsageError(message, BY_HAND)
    dtype = keys.get("dtype", "torch_dtype", default=model.dtype)
    return replace(
        model, family=family, dtype=dtype if dtype in DTYPES else model.dtype,
        notes=(*model.notes, *taken(keys)),
    )  # fmt: skip


def taken(keys: Keys) -> tuple[str, ...]:
    """What a config leaves out, and what was taken for it."""
    numbers = [
        f"{key} {value}"
        for key, value in keys.taken.items()
        if isinstance(value, int | float | str) and not isinstance(value, bool)
    ]
    if not numbers:
        return ()
    shown = ", ".join(numbers[:6]) + (f" and {len(numbers) - 6} more" if numbers[6:] else "")
    return (f"left out of the config, and taken as the family's usual: {shown}"[:300],)
