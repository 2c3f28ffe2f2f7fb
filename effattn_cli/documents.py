"""Data from files and other processes into records: decoded by their types, faults named.

msgspec checks types, ranges and keys as it decodes, and says what it expected and where. What it
leaves out, the value that was found and the nearest valid key, is added here, where something is
wrong: nothing of this costs time where nothing is.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from math import isfinite
from reprlib import repr as shortened
from typing import Any, TypeVar

import msgspec

LARGEST = 2**63 - 1
LONGEST = 1 << 16  # letters in a text

T = TypeVar("T")
_PLACE = re.compile(r" - at `\$(.*)`$", re.DOTALL)
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]|(\[\.\.\.\])")
_NAMES = {
    "int": "a whole number", "float": "a number", "int | float": "a number", "str": "text",
    "bool": "true or false", "null": "nothing", "object": "a mapping", "array": "a list",
}  # fmt: skip


class Wrong(ValueError):
    """A value that is not as it must be; `place` grows as the error passes outwards."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        self.place = ""

    def within(self, part: str) -> "Wrong":
        self.place = part + self.place
        return self

    def __str__(self) -> str:
        place = self.place.lstrip(".")
        return f"{place}: {self.args[0]}" if place else str(self.args[0])


def converted(kind: type[T], data: Any) -> T:
    """The record of the type `kind` that plain data stands for.

    Raises:
        Wrong: a value is of another type, out of range, missing, or unknown.
    """
    try:
        value = msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise explained(error, kind, data) from None
    except RecursionError:
        raise Wrong("lists and mappings are nested too deeply") from None
    return value


def explained(error: msgspec.ValidationError, kind: Any, data: Any) -> Wrong:
    """The error with the value that was found, or the key that comes nearest."""
    text = str(error)
    match = _PLACE.search(text)
    path = match[1] if match else ""
    message = _PLACE.sub("", text)
    info, value, where = _at(msgspec.inspect.type_info(kind), data, path)
    return _worded(message, info, value).within(where)


def _at(info: Any, value: Any, path: str) -> tuple[Any, Any, str]:
    """The type and the value at a path, and the path with the keys that msgspec leaves out."""
    where = ""
    for match in _STEP.finditer(path):
        info = _present(info)
        if match[1] is not None:
            name: Any = match[1]
            fields = {field.encode_name: field.type for field in getattr(info, "fields", ())}
            info, where = fields.get(name), f"{where}.{name}"
            value = value.get(name) if isinstance(value, dict) else None
        elif match[2] is not None:
            number = int(match[2])
            info = _item(info, number)
            is_there = isinstance(value, list | tuple) and number < len(value)
            value = value[number] if is_there else None
            where += match[0]
        else:
            info = getattr(info, "value_type", None)
            key, value = _first_wrong(info, value)
            where += f".{key[:40]}" if key.isidentifier() else f"[{shortened(key)}]"
    return _present(info), value, where


def _first_wrong(info: Any, value: Any) -> tuple[str, Any]:
    """Which of a mapping's values is at fault: msgspec does not tell."""
    for key, part in value.items() if isinstance(value, dict) else ():
        try:
            msgspec.convert(part, _type_of(info))
        except (msgspec.ValidationError, TypeError):
            return str(key), part
    return "", None


def _type_of(info: Any) -> Any:
    """The type that an inspected one stands for, as far as mappings of the records hold it."""
    if isinstance(info, msgspec.inspect.StructType):
        return info.cls
    plain: dict[type, Any] = {
        msgspec.inspect.StrType: str, msgspec.inspect.FloatType: float,
        msgspec.inspect.IntType: int, msgspec.inspect.BoolType: bool,
    }  # fmt: skip
    if isinstance(info, msgspec.inspect.UnionType):
        kinds = [_type_of(kind) for kind in info.types]
        union = kinds[0]
        for kind in kinds[1:]:
            union |= kind
        return union
    return plain.get(type(info), object)


def _present(info: Any) -> Any:
    """What an optional type is where it is not None."""
    if isinstance(info, msgspec.inspect.UnionType):
        others = [kind for kind in info.types if not isinstance(kind, msgspec.inspect.NoneType)]
        return others[0] if len(others) == 1 else info
    return info


def _item(info: Any, number: int) -> Any:
    if isinstance(info, msgspec.inspect.TupleType):
        return info.item_types[number] if number < len(info.item_types) else None
    return getattr(info, "item_type", None)


def _worded(message: str, info: Any, value: Any) -> Wrong:
    if match := re.fullmatch(r"Object contains unknown field `(.*)`", message, re.DOTALL):
        names = [field.encode_name for field in getattr(info, "fields", ())]
        return Wrong(f"unknown key {shortened(match[1])}", _nearest(match[1], names))
    if match := re.fullmatch(r"Object missing required field `(.*)`", message):
        return Wrong(f"{match[1]!r} is missing")
    if type(value) is int and abs(value) > LARGEST:
        return Wrong("a number of more than 63 bits is out of range")
    if isinstance(value, float) and not isfinite(value):
        return Wrong(f"expected a finite number, got {value}")
    return Wrong(f"expected {_expected(message, info, value)}, got {_shown(value)}")


def _expected(message: str, info: Any, value: Any) -> str:
    if isinstance(info, msgspec.inspect.LiteralType):
        return " or ".join(sorted(map(repr, info.values)))
    wanted = re.match(r"Expected `(.*?)`(.*?)(?:, got `.*`)?$", message)
    if wanted is None:
        return message[:1].lower() + message[1:]
    name, bound = wanted.groups()
    kinds = sorted(_NAMES.get(kind, kind) for kind in dict.fromkeys(name.split(" | ")))
    limits = _bounds(info, value)
    return limits if bound and limits else " or ".join(kinds) + bound


def _bounds(info: Any, value: Any) -> str:
    """`1 or more`, `0 or more and below 1`, `at least one`: the range of a number or a list."""
    minimum, below, maximum = (getattr(info, name, None) for name in ("ge", "lt", "le"))
    if getattr(info, "min_length", None):
        return "at least one"
    if minimum is None:
        return ""
    text = "a number above 0" if 0 < minimum < 1 else f"{minimum} or more"
    if below is not None:
        return f"{text} and below {below}"
    beyond = maximum is not None and isinstance(value, int | float) and value > maximum
    return f"{text}, at most {maximum:g}" if beyond else text


def _nearest(name: str, valid: Iterable[str]) -> str:
    names = list(valid)
    near = get_close_matches(name[:40], names, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"valid: {', '.join(names)}"


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return "nothing" if value is None else shortened(value)
