"""One setting out of saved profiles: the cells that a question is about."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from effattn_cli.analysis.cost import utilisation
from effattn_cli.cards import Variant
from effattn_cli.errors import UsageError
from effattn_cli.records import Cell, Profile, Record, Roofline


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is asked for, axis by axis; None takes the usual value, or the only one there is."""

    phase: str | None = None
    device: str | None = None
    dtype: str | None = None
    scope: str | None = None
    causal: bool | None = None
    padding: bool | None = None  # cells with some padding
    dim: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    batch: int | None = None
    threads: int | None = None
    compile: bool | None = None
    alloc: str | None = None
    cache: str | None = None


#: What is meant where nothing is said, if there are cells of it.
USUAL: dict[str, Any] = {
    "phase": "forward", "causal": False, "padding": 0.0, "compile": False, "alloc": "retained",
    "scope": "core", "batch": 1, "dtype": "float32", "kv_heads": None, "head_dim": None,
    "cache": "warm",
}  # fmt: skip


@dataclass(frozen=True)
class Pool:
    """Records of one machine, and what is known of their variants."""

    records: tuple[Record, ...]
    variants: Mapping[str, Variant]
    rooflines: tuple[Roofline, ...]


def pool(profiles: Sequence[Profile]) -> Pool:
    """The records of several profiles; of what they share, those of the earlier one.

    A variant whose code differs between two profiles is taken from the earlier one alone.

    Raises:
        UsageError: the profiles are of different machines.
    """
    first, *others = profiles
    if not others:
        return Pool(first.records, first.variants, first.rooflines)
    for other in others:
        if apart := _apart(first, other):
            message = f"the profiles are of different machines: {apart[0]!r} and {apart[1]!r}"
            raise UsageError(message, "give those of one machine")
    records: dict[Cell, Record] = {}
    variants: dict[str, Variant] = {}
    for profile in profiles:
        for name, variant in profile.variants.items():
            variants.setdefault(name, variant)
        for record in profile.records:
            name = record.cell.variant
            if variants[name].code == profile.variants[name].code:
                records.setdefault(record.cell, record)
    rooflines = utilisation.joined(*(profile.rooflines for profile in reversed(profiles)))
    return Pool(tuple(records.values()), variants, rooflines)


def alike(one: Profile, other: Profile) -> bool:
    """Whether their latencies are those of one machine."""
    return _apart(one, other) is None


def machine(profile: Profile) -> str:
    """The machine in a few words."""
    known = profile.machine
    words = known.cpu, known.cores, known.accelerator
    return " ".join(str(word) for word in words if word is not None)


#: What slows a machine down that is otherwise the same. A profile from before these were looked at
#: does not know them, and nor does one of a machine that does not tell.
LIMITS = ("allowed_cores", "accelerator_sm_mhz", "accelerator_memory_mhz", "accelerator_watts")


def _apart(one: Profile, other: Profile) -> tuple[str, str] | None:
    """What sets their machines apart, in the words of each."""
    if machine(one) != machine(other):
        return machine(one), machine(other)
    for name in LIMITS:
        mine, theirs = getattr(one.machine, name), getattr(other.machine, name)
        if mine != theirs and mine is not None and theirs is not None:
            word = name.replace("_", " ")
            return f"{word} {mine:g}", f"{word} {theirs:g}"
    return None


def narrowed(records: Iterable[Record], wanted: Setting) -> list[Record]:
    """The records of the setting, in which nothing differs but variant, options and length.

    Raises:
        UsageError: there are no such cells, or it is not said which of several are meant.
    """
    found = list(records)
    for item in fields(wanted):
        found = _axis(found, item.name, getattr(wanted, item.name))
    return found


def _axis(records: list[Record], axis: str, wanted: Any) -> list[Record]:
    values = {getattr(record.cell, axis) for record in records}
    kept = [value for value in values if _meant(axis, value, wanted)]
    if wanted is None and len(values) == 1:
        return records
    if wanted is None and axis in USUAL and USUAL[axis] in values:
        kept = [USUAL[axis]]
    there = ", ".join(sorted(_shown(axis, value) for value in values))
    option = axis.replace("_", "-")
    if not kept:
        if wanted is None:
            raise UsageError(f"the profile has more than one {option}: {there}", _which(axis))
        message = f"nothing was measured with {option} {_shown(axis, wanted)}, only with {there}"
        raise UsageError(message, f"measure it: effattn profile {_flag(axis, wanted)} ...")
    if len(kept) > 1:
        raise UsageError(f"the profile has more than one {option}: {there}", _which(axis))
    return [record for record in records if getattr(record.cell, axis) == kept[0]]


def _meant(axis: str, value: Any, wanted: Any) -> bool:
    if wanted is None:
        return False
    if axis == "padding":
        return (value > 0) == wanted
    if axis == "device":
        return bool(value == wanted or value.split(":")[0] == wanted)
    return bool(value == wanted)


def _which(axis: str) -> str:
    if axis == "padding":
        return "give a profile with one share of it"
    return f"say which: --{axis.replace('_', '-')}"


def _shown(axis: str, value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "as usual" if value is None else f"{value:g}" if axis == "padding" else str(value)


def _flag(axis: str, wanted: Any) -> str:
    option = f"--{axis.replace('_', '-')}"
    if axis == "padding":
        return f"{option} 0.25"
    return option if wanted is True else f"{option} {wanted}"
