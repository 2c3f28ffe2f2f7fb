"""Lists of numbers as they are typed: `1k..64k`, `1..8,16,!4`, `512..2k:+512`, `1k..64k:/9`.

spec = item,item...; item = value | !value | start..end[:step]; step = xN | +N | /N (N points).
A range without a step doubles, and both ends are always in it. k is 1024.
"""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from reprlib import repr as shortened

from effattn_cli.errors import UsageError
from effattn_cli.quantities import parse_share

MOST = 10_000  # values on one axis
LARGEST = 2**31
GRAIN = 64  # log-spaced points are rounded to multiples of it: kernels are made for such lengths
SCALE = {"Ki": 1024, "k": 1024, "K": 1024, "Mi": 1024**2, "M": 1024**2}

_NUMBER, _SUFFIX = r"[0-9]+(?:\.[0-9]+)?", "|".join(SCALE)
_VALUE = rf"{_NUMBER}(?:{_SUFFIX})?"
_RANGE = re.compile(rf"({_VALUE})\.\.({_VALUE})(?::([x+/])({_VALUE}))?")
_ALIAS = re.compile(rf"({_VALUE})-({_VALUE})([*+])({_VALUE})")  # as llama-bench has it


def _powers(match: re.Match[str]) -> str:
    """`pow2[7:10]`: what stands between two powers."""
    ends = (int(match[1]) ** min(int(power), 64) for power in match.group(2, 3))
    return "{}..{}".format(*ends)


def _step(match: re.Match[str]) -> str:
    """A step without a sign multiplies if it is as small as a factor is, and else is added."""
    return f"{match[1]}:{'x' if match[2] in _FACTORS else '+'}{match[2]}"


_FACTORS = {"2", "3", "4", "5", "8", "10"}
#: What people write instead, each with what they mean; tried in turn, one on top of another.
_REPAIRS: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"\s", ""),
    (r"^pow(\d{1,2})\[(\d{1,3}):(\d{1,3})\]$", _powers),
    (r"[\[\]()]", ""),
    (r"(?<=[0-9])_(?=[0-9])", ""),
    (r"(?<![0-9.])([0-9]+(?:\.[0-9]+)?)[eE]\+?([0-9]{1,2})\b", lambda m: f"{float(m[0]):.0f}"),
    (r"(?<=[0-9])m\b", "M"),
    (r"(?<=[0-9])(?!(?:[kK]|Ki|Mi?)\b)(?![gGtT])[A-Za-z]{1,3}\b", "k"),
    (r"(?<=[0-9kKiM])(?:-|–|—|~|to|…|\.{3,})(?=[0-9])", ".."),
    (r"^([^.:]+):([^.:]+):(?=[0-9])", r"\1..\2:+"),
    (r"^([^.:]+):(?=[0-9])", r"\1.."),
    (r"(?<=[0-9kKiM]):?\*(?=[0-9])", ":x"),
    (r"(?<=[0-9kKiM])(?=[x+/][0-9])", ":"),
    (r"(\.\.[^:]+):([0-9][^:]*)", _step),
    (r"^([^.:]+)\.\.([^.:]+)", r"\2..\1"),
)
_LONGEST_REPAIR = 60  # letters: what is longer was not typed


def lengths(text: str, axis: str = "--seq") -> tuple[int, ...]:
    """The lengths that `text` stands for, ascending, each once."""
    return integers(text, axis)


def integer(text: str, axis: str, *, largest: int = LARGEST) -> int:
    """The one whole number from 1 to `largest` that `text` stands for.

    Raises:
        UsageError: it cannot be read, or stands for several.
    """
    values = integers(text, axis, largest=largest)
    if len(values) != 1:
        raise UsageError(f"{axis}: {text!r} stands for {len(values)} values, give one")
    return values[0]


def integers(text: str, axis: str, *, largest: int = LARGEST) -> tuple[int, ...]:
    """The whole numbers from 1 to `largest` that `text` stands for, ascending, each once.

    Raises:
        UsageError: an item cannot be read, or there are none or too many values.
    """
    kept: set[int] = set()
    dropped: list[tuple[str, Sequence[int]]] = []
    count = 0
    for item in (part.strip() for part in text.split(",")):
        values = _item(item.removeprefix("!"), axis, largest)
        count += len(values)
        if count > MOST:
            raise UsageError(f"{axis}: {shortened(text)} has more than {MOST:,} values")
        if item.startswith("!"):
            dropped.append((item, values))
        else:
            kept.update(values)
    for item, values in dropped:
        if kept.isdisjoint(values):
            there = item.removeprefix("!")
            why = f"excludes nothing: {shortened(there)} is not in the range"
            raise UsageError(f"{axis}: {shortened(item)} {why}")
        kept.difference_update(values)
    if not kept:
        raise UsageError(f"{axis}: nothing is left of {shortened(text)}")
    return tuple(sorted(kept))


def fractions(text: str, axis: str) -> tuple[float, ...]:
    """The shares in a comma list, at least 0 and below 1, ascending, each once."""
    return tuple(sorted({parse_share(item, axis) for item in text.split(",")}))


def _item(item: str, axis: str, largest: int) -> Sequence[int]:
    try:
        return _read(item, largest)
    except ValueError as error:
        near = _repaired(item, largest)
        hint = f"did you mean {near!r}?" if near else None
        raise UsageError(f"{axis}: {shortened(item)} {error}", hint) from error


def _read(item: str, largest: int) -> Sequence[int]:
    """The values of one item; the message of a ValueError goes on after the item's name."""
    if alias := _ALIAS.fullmatch(item):
        start, end, sign, number = alias.groups()
        item = f"{start}..{end}:{sign.replace('*', 'x')}{number}"
    match = _RANGE.fullmatch(item)
    if not match:
        return [_value(item, largest)]
    first, last = _value(match[1], largest), _value(match[2], largest)
    if first > last:
        raise ValueError("runs backwards, a range goes from low to high")
    sign, number = match[3] or "x", _value(match[4] or "2", largest)
    if sign == "+":
        return _added(first, last, number)
    if number < 2:
        raise ValueError(f"has the step {sign}{number}, the least is {sign}2")
    return _multiplied(first, last, number) if sign == "x" else _spread(first, last, number)


def _value(text: str, largest: int) -> int:
    match = re.fullmatch(rf"({_NUMBER})({_SUFFIX})?", text)
    if not match:
        raise ValueError("is neither a number (512, 4k) nor a range (1k..64k, 1k..64k:x4)")
    amount = float(match[1]) * SCALE.get(match[2], 1)
    if not 1 <= amount <= largest:
        raise ValueError(f"is out of range, the values go from 1 to {largest}")
    if not amount.is_integer():
        raise ValueError(f"is not whole: {text} would be {amount:.10g}")
    return int(amount)


def _added(first: int, last: int, step: int) -> Sequence[int]:
    values = range(first, last, step)
    if len(values) >= MOST:
        raise ValueError(f"has more than {MOST:,} values")
    return [*values, last]


def _multiplied(first: int, last: int, factor: int) -> Sequence[int]:
    values = [first]
    while values[-1] * factor < last:
        values.append(values[-1] * factor)
    return [*values, last]


def _spread(first: int, last: int, points: int) -> Sequence[int]:
    if points > MOST:
        raise ValueError(f"has more than {MOST:,} values")
    exact = [first * (last / first) ** (i / (points - 1)) for i in range(points)]
    inner = [
        round(here / GRAIN) * GRAIN if here - before >= GRAIN else round(here)
        for before, here in pairwise(exact[:-1])
    ]
    return [first, *inner, last]


def _repaired(item: str, largest: int) -> str | None:
    """The nearest item that can be read, if a usual slip explains this one."""
    if len(item) > _LONGEST_REPAIR:
        return None
    for pattern, instead in _REPAIRS:
        item = re.sub(pattern, instead, item)
        try:
            _read(item, largest)
        except ValueError:
            continue
        return item
    return None
