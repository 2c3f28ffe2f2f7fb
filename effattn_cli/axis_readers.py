"""The values on an axis of a sweep, as they are typed: comma lists of words, ranges of numbers."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from effattn_cli import ranges
from effattn_cli.errors import UsageError, unknown

DTYPES = {
    "fp64": "float64", "f64": "float64", "double": "float64",
    "fp32": "float32", "f32": "float32", "float": "float32", "single": "float32",
    "bf16": "bfloat16", "fp16": "float16", "f16": "float16", "half": "float16",
}  # fmt: skip
DEVICE = r"auto|cpu|mps|(?:cuda|xpu)(?::[0-9]{1,3})?"
DEVICES = ("auto", "cpu", "cuda", "cuda:0", "mps", "xpu")

#: The values that a text stands for; the second argument is the flag, for error messages.
Reader = Callable[[str, str], Sequence[Any]]


def words(kind: Any, aliases: Mapping[str, str] | None = None) -> Reader:
    """Reads a comma list of the words of a Literal, each once, by their proper names."""
    proper = {word: word for word in get_args(kind)} | dict(aliases or {})

    def read(text: str, flag: str) -> tuple[str, ...]:
        items = [item.strip() for item in text.split(",")]
        for item in items:
            if item.lower() not in proper:
                raise unknown(flag.lstrip("-"), item, proper)
        return tuple(dict.fromkeys(proper[item.lower()] for item in items))

    return read


def integers(largest: int) -> Reader:
    return lambda text, flag: ranges.integers(text, flag, largest=largest)


def devices(text: str, _: str) -> tuple[str, ...]:
    """Names of devices; which of them are here is found out where torch is."""
    items = tuple(dict.fromkeys(item.strip() for item in text.split(",")))
    for item in items:
        if re.fullmatch(DEVICE, item):
            continue
        near = re.sub(r"^gpu\b", "cuda", item.lower())
        if re.fullmatch(DEVICE, near):
            raise UsageError(f"unknown device {item!r}", f"did you mean {near!r}?")
        raise unknown("device", item, DEVICES)
    return items


def switch(text: str, flag: str) -> tuple[bool, ...]:
    """`yes`, `no`, or both."""
    values = [SWITCH.get(item.strip().lower()) for item in text.split(",")]
    if None in values:
        raise UsageError(f"{flag}: expected yes or no, got {text!r}")
    return tuple(dict.fromkeys(value for value in values if value is not None))


SWITCH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
