"""Sizes, durations and shares as they are typed: `2GiB`, `2GB`, `200us`, `1m30s`, `5%`."""

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from reprlib import repr as shortened

from effattn_cli.errors import UsageError

SIZES = {"b": 1} | {
    f"{letter}{ending}": base**power
    for power, letter in enumerate("kmgt", start=1)
    for ending, base in (("b", 1000), ("ib", 1024))
}
JOULES = {"uj": 1e-6, "µj": 1e-6, "mj": 1e-3, "j": 1.0, "kj": 1e3}
MICRO = 1_000_000
#: The units of a duration, in the order in which they may follow one another, in microseconds.
DURATIONS = {
    "h": 3600 * MICRO, "(?:min|m)": 60 * MICRO, "s": MICRO, "ms": 1000, "[uµμ]s": 1,
}  # fmt: skip

_NUMBER = r"([0-9]{1,15}(?:\.[0-9]{1,15})?)"
_SIZE = re.compile(rf"{_NUMBER} ?([A-Za-z]*)")
_SHARE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?|\.[0-9]{1,15}) ?(%?)")
_ENERGY = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?([A-Za-zµ]+)")
_DURATION = re.compile(" ?".join(rf"(?:{_NUMBER} ?{unit})?" for unit in DURATIONS))


def parse_bytes(text: str, option: str = "--memory-limit") -> int:
    """Bytes; GiB and GB are different units, and one of them has to be given.

    >>> parse_bytes("2GiB"), parse_bytes("2GB"), parse_bytes("1.5 MiB"), parse_bytes("4096B")
    (2147483648, 2000000000, 1572864, 4096)
    """
    _ask_for_unit(text, option, ("GiB", "MiB"))
    near = (text, f"{text}iB", f"{text}GiB", f"{text}B")
    return int(
        _read(
            _size, near, f"{option}: {shortened(text)} is not a valid size (examples: 2GiB, 512MB)"
        )
    )


def parse_seconds(text: str, option: str = "--time-limit") -> float:
    """Seconds; parts follow one another from hours down to microseconds.

    >>> parse_seconds("200us"), parse_seconds("5ms"), parse_seconds("1m30s"), parse_seconds("1.5h")
    (0.0002, 0.005, 90.0, 5400.0)
    """
    _ask_for_unit(text, option, ("ms", "s"))
    short = re.sub(r"(?<=[0-9 ])([hms])(?:ou|r|in|ec)[a-z]*", r"\1", text.lower())
    message = (
        f"{option}: {shortened(text)} is not a valid duration (examples: 200us, 5ms, 2s, 1m30s)"
    )
    return _read(_seconds, (text, re.sub(r"(?<=[0-9])$", "s", text), short), message)


def parse_joules(text: str, option: str = "--energy") -> float:
    """Joules.

    >>> parse_joules("3J"), parse_joules("200mJ")
    (3.0, 0.2)
    """
    match = _ENERGY.fullmatch(text.strip())
    scale = JOULES.get(match[2].lower()) if match else None
    if match is None or scale is None or not float(match[1]):
        near = f"did you mean '{text}J'?" if re.fullmatch(r"[0-9.]+", text) else None
        raise UsageError(
            f"{option}: {shortened(text)} is not a valid energy (examples: 3J, 200mJ)", near
        )
    return float(match[1]) * scale


def parse_share(text: str, option: str) -> float:
    """A share, from 0 to below 1.

    >>> parse_share("25%", "--padding"), parse_share("0.25", "--padding")
    (0.25, 0.25)
    """
    message = (
        f"{option}: {shortened(text)} is not a valid share (examples: 5%, 0.05; from 0 to below 1)"
    )
    match = _SHARE.fullmatch(text.strip())
    fraction = Fraction(match[1]) / (100 if match[2] else 1) if match else Fraction(1)
    if fraction < 1:
        return float(fraction)
    percent = match is not None and not match[2] and 1 < fraction < 100
    raise UsageError(message, f"did you mean '{text.strip()}%'?" if percent else None)


def _ask_for_unit(text: str, option: str, units: tuple[str, str]) -> None:
    """
    Raises:
        UsageError: it is a plain number, which could be of any unit.
    """
    number = text.strip()
    if re.fullmatch(_NUMBER, number) and float(number):
        first, second = (f"{number}{unit}" for unit in units)
        raise UsageError(
            f"{option}: {shortened(text)} has no unit", f"did you mean {first!r} or {second!r}?"
        )


def _read(read: Callable[[str], float], spellings: Sequence[str], message: str) -> float:
    """The first spelling's amount; the error's hint is the next one that can be read."""
    amount, *others = map(read, spellings)
    if amount:
        return amount
    near = next((text for text, other in zip(spellings[1:], others, strict=True) if other), None)
    raise UsageError(message, f"did you mean {near!r}?" if near else None)


def _size(text: str) -> int:
    """0 for what is no size."""
    match = _SIZE.fullmatch(text.strip())
    if not match or match[2].lower() not in SIZES:
        return 0
    return int(Fraction(match[1]) * SIZES[match[2].lower()])


def _seconds(text: str) -> float:
    """0.0 for what is no duration."""
    match = _DURATION.fullmatch(text.strip())
    parts = match.groups() if match else ()
    scales = DURATIONS.values()
    given = [(part, scale) for part, scale in zip(parts, scales, strict=False) if part]
    return float(sum(Fraction(part) * scale for part, scale in given) / Fraction(MICRO))
