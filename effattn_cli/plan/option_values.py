"""Option values as they are typed, read by the type that the option's annotation names."""

import ast
import math
import re
from collections.abc import Callable, Mapping
from functools import partial

from effattn_cli.axis_readers import SWITCH
from effattn_cli.cards import Option, Value
from effattn_cli.errors import UsageError, unknown


def convert(owner: str, option: Option, text: str) -> Value | None:
    """The text as a value of the owner's option; None is one only where it is the default.

    Raises:
        UsageError: it is no such value; the hint says what would be.
    """
    kinds = option.type.split(" | ")
    if "None" in kinds and option.default is None and text.lower() == "none":
        return None
    for kind in kinds:
        value = _read(kind, text)
        if value is not None:
            return value
    label = f"value of {owner}:{option.name}"
    if words := spellings(option):
        raise unknown(label, text, words)
    default = "" if option.default is None else f", {option.default} by default"
    raise UsageError(f"unknown {label} {text!r}", f"{option.name} is {option.type}{default}")


def spellings(option: Option) -> list[str]:
    """All the ways to write a value, where the type lists them."""
    kinds = option.type.split(" | ")
    listed = [str(word) for kind in kinds if kind.startswith("Literal") for word in _words(kind)]
    return listed + (["true", "false"] if "bool" in kinds else [])


def _words(literal: str) -> tuple[Value, ...]:
    """The values of an annotation like Literal['a', 'b']."""
    return tuple(ast.literal_eval(f"({literal.partition('[')[2][:-1]},)"))


def _read(kind: str, text: str) -> Value | None:
    """The text as what an annotation names; None if it is no such thing."""
    if kind.startswith("Literal"):
        return next((word for word in _words(kind) if str(word) == text), None)
    reader = READERS.get(kind)
    return reader(text) if reader else None


def _whole(pattern: str, text: str) -> int | None:
    return int(text) if re.fullmatch(pattern, text) else None


def number(text: str) -> float | None:
    """The text as a finite number; None if it is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


READERS: Mapping[str, Callable[[str], Value | None]] = {
    "bool": lambda text: SWITCH.get(text.lower()),
    "int": partial(_whole, r"-?[0-9]{1,18}"),
    "positive int": partial(_whole, r"[1-9][0-9]{0,9}"),
    "float": number,
    "str": lambda text: text or None,
}
