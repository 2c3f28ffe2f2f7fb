"""Data from a file into records: each type, range and key looked at, the fault's place named."""

import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from functools import cache, partial
from math import isfinite
from reprlib import repr as shortened
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

LARGEST = 2**63 - 1
LONGEST = 1 << 16  # letters in a text; the last lines of a process have a quarter of that
LEAST, MOST = 1e-12, 1e20  # seconds and the like: their sums, squares and ratios stay finite
#: Numbers whose least is not 0, and those whose largest is below 1.
FROM_ONE = {
    "seq", "batch", "dim", "heads", "kv_heads", "head_dim", "threads", "anchor_seq", "cores",
    "rounds", "min_samples", "max_samples", "touched",
}  # fmt: skip
ABOVE_ZERO = {
    "samples", "contended", "seconds", "first_seconds", "high", "time_limit", "precision",
    "calibration", "dispatch", "speed", "flops", "exponentials", "launch", "allowed_cores",
    "accelerator_watts",
}  # fmt: skip
BELOW_ONE = {"padding", "precision"}
ANY_SIGN = {"default", "options", "values"}  # of knobs, and of scores
NOT_EMPTY = {"samples", "bandwidths"}

Check = Callable[[Any], Any]


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


def checked(kind: Any, data: Any) -> Any:
    """The record of the dataclass `kind` that `data` stands for.

    Raises:
        Wrong: a value is of another type, out of range, missing, or unknown.
    """
    checks, required = _checks(kind)
    if not isinstance(data, dict):
        raise expected("a mapping", data)
    try:
        values = {name: checks[name](value) for name, value in data.items()}
    except (KeyError, Wrong):
        raise _fault(checks, data) from None
    if len(values) < len(checks) and not required <= values.keys():
        raise Wrong(
            f"{next(name for name in checks if name in required - values.keys())!r} is missing"
        )
    return kind(**values)


def _fault(checks: Mapping[str, Check], data: Mapping[Any, Any]) -> Wrong:
    """The first that is wrong of fields one of which is: looking for it costs, not knowing it."""
    for name, value in data.items():
        if name not in checks:
            return _unknown(name, checks)
        try:
            checks[name](value)
        except Wrong as error:
            return error.within(f".{name}")
    raise AssertionError("nothing is wrong")


def expected(what: str, value: Any) -> Wrong:
    return Wrong(f"expected {what}, got {_shown(value)}")


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if type(value) is int and abs(value) > LARGEST:
        return "a number of more than 63 bits"
    return "nothing" if value is None else shortened(value)


def _unknown(key: Any, valid: Mapping[str, Check]) -> Wrong:
    near = get_close_matches(str(key)[:40], valid, n=1, cutoff=0.5) if isinstance(key, str) else []
    hint = f"did you mean {near[0]!r}?" if near else f"valid: {', '.join(valid)}"
    return Wrong(f"unknown key {_shown(key)}", hint)


@cache
def _checks(kind: type) -> tuple[dict[str, Check], frozenset[str]]:
    """What looks at each field, and the names of those that must be there."""
    given = {item.name: (item.default, item.default_factory) for item in fields(kind)}
    required = frozenset(name for name, values in given.items() if values == (MISSING, MISSING))
    return {name: _check(hint, name) for name, hint in get_type_hints(kind).items()}, required


def _check(kind: Any, name: str) -> Check:
    """What looks at a value of the type `kind` in the field `name`."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin not in (tuple, Mapping) and any(map(is_dataclass, (kind, *parts))):
        record = next(part for part in (kind, *parts) if is_dataclass(part))
        return partial(_maybe, type(None) in parts, partial(checked, record))
    if origin is Literal:
        return partial(_word, frozenset(parts))
    if origin is tuple:
        many = _floats if parts[0] is float else _list
        return partial(many, _check(parts[0], name), name)
    if origin is not None and origin not in (Union, types.UnionType):
        return partial(_mapping, _check(parts[1], name))
    return _of_scalar(frozenset(parts or (kind,)), *_bounds(name))


def _of_scalar(kinds: frozenset[Any], low: float, high: float) -> Check:
    """Lets the usual value through at once; the unusual and the wrong are looked at closely."""
    (kind, *others) = kinds - {type(None)}
    close = partial(_scalar, kinds, low)
    if others or kind is bool:
        return close
    if kind is str:
        return lambda value: value if type(value) is str and len(value) <= LONGEST else close(value)
    if kind is int:
        high = LARGEST
    else:
        close = partial(_number, kinds, low, high)
    return lambda value: value if type(value) is kind and low <= value <= high else close(value)


def _bounds(name: str) -> tuple[float, float]:
    """The least and the largest value of a number."""
    if name in ANY_SIGN:
        return -MOST, MOST
    low = 1 if name in FROM_ONE else LEAST if name in ABOVE_ZERO else 0
    return low, 1 - 2**-53 if name in BELOW_ONE else MOST


def _maybe(optional: bool, check: Check, value: Any) -> Any:  # noqa: FBT001
    return None if optional and value is None else check(value)


def _word(words: frozenset[str], value: Any) -> str:
    if isinstance(value, str) and value in words:
        return value
    raise expected(" or ".join(sorted(map(repr, words))), value)


def _list(check: Check, name: str, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise expected("a list", value)
    if not value and name in NOT_EMPTY:
        raise Wrong("expected at least one")
    found = []
    for number, part in enumerate(value):
        try:
            found.append(check(part))
        except Wrong as error:
            raise error.within(f"[{number}]") from None
    return tuple(found)


def _floats(check: Check, name: str, value: Any) -> tuple[Any, ...]:
    """As `_list`; where nothing is wrong the samples are looked at all at once."""
    kinds = {*map(type, value)} if isinstance(value, list) else set()
    plain = kinds and kinds <= {int, float}
    if plain and min(value) >= LEAST and max(value) <= MOST and sum(value) <= MOST:
        return tuple(map(float, value)) if int in kinds else tuple(value)
    return _list(check, name, value)


def _mapping(check: Check, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise expected("a mapping", value)
    found = {}
    for key, part in value.items():
        if not isinstance(key, str):
            raise expected("text as a key", key)
        try:
            found[_text(key)] = check(part)
        except Wrong as error:
            raise error.within(
                f".{key[:40]}" if key.isidentifier() else f"[{shortened(key)}]"
            ) from None
    return found


def _number(kinds: frozenset[type], low: float, high: float, value: Any) -> float | None:
    if type(value) in (int, float) and low <= value <= high:
        return float(value)
    if value is None and type(None) in kinds:
        return None
    raise _outside(value, low, high) if type(value) in (int, float) else expected("a number", value)


def _scalar(kinds: frozenset[type], low: float, value: Any) -> Any:
    kind = type(value)
    if kind not in kinds:
        raise expected(" or ".join(sorted(_NAMES[kind] for kind in kinds)), value)
    if kind is str:
        return _text(value)
    if kind in (int, float):
        most = LARGEST if kind is int else MOST
        if not max(low, -most) <= value <= most:
            raise _outside(value, low, most)
    return value


def _outside(value: float, low: float, high: float) -> Wrong:
    """Why a number is refused that is not between `low` and `high`."""
    if isinstance(value, int) and abs(value) > LARGEST:
        return Wrong(f"{_shown(value)} is out of range")
    if not isfinite(value):
        return Wrong(f"expected a finite number, got {value}")
    least = "a number above 0" if low == LEAST else f"{low} or more"
    most = " and below 1" if high < 1 else f", at most {high:g}" if value > high else ""
    return Wrong(f"expected {least}{most}, got {_shown(value)}")


def _text(value: str) -> str:
    if len(value) > LONGEST:
        raise Wrong(f"text of {len(value):,} letters, more than {LONGEST:,}")
    return value


_NAMES = {
    bool: "true or false", int: "a whole number", float: "a number", str: "text",
    type(None): "nothing",
}  # fmt: skip
