"""One setting out of saved profiles: the cells that a question is about."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from reprlib import repr as shortened
from typing import Any

from effattn_cli.analysis.cost import utilisation
from effattn_cli.cards import Variant
from effattn_cli.errors import UsageError, unknown
from effattn_cli.machine import Difference, Machine, differences
from effattn_cli.ranges import lengths
from effattn_cli.records import Cell, Profile, Record, Roofline
from effattn_cli.setting import AXES, USUAL, Axis, flag


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
        refuse_another_machine(first.machine, other.machine)
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


def refuse_another_machine(mine: Machine, theirs: Machine) -> None:
    """What is worked out of several profiles is of one machine.

    Raises:
        UsageError: they are of two.
    """
    apart = differences(mine, theirs, "hardware")
    if not apart:
        return
    ours, others = mine.words, theirs.words
    if ours == others:
        ours, others = (_side(apart[0], side) for side in (apart[0].old, apart[0].new))
    message = f"the profiles are of different machines: {ours!r} and {others!r}"
    raise UsageError(message, "give those of one machine, and ask once for each")


def _side(difference: Difference, value: str) -> str:
    return f"{difference.what} {value}"


def narrowed(records: Iterable[Record], wanted: Mapping[str, Any]) -> list[Record]:
    """The records of one setting, in which nothing differs but variant, options and length.

    `wanted` is by axis; one that it does not name takes the usual value, or the only one there is.

    Raises:
        UsageError: there are no such cells, or it is not said which of several are meant.
    """
    left = list(records)
    for name, axis in AXES.items():
        left = _on_axis(left, name, axis, wanted.get(name))
    return left


def matching(records: Iterable[Record], wanted: Mapping[str, Any]) -> list[Record]:
    """The records of all settings that have these values on the axes that `wanted` names.

    Raises:
        UsageError: there are none, or a value stands for several.
    """
    left = list(records)
    for name, value in wanted.items():
        left = _on_axis(left, name, AXES[name], value)
    return left


def of_variants(
    records: Sequence[Record], texts: Iterable[str], baseline: str | None
) -> list[Record]:
    """The records of these variants, by name or label, and of the baseline; all if none is named.

    Raises:
        UsageError: a variant is none of theirs.
    """
    wanted = {label for text in texts for label in _labels(text)}
    for label in sorted(wanted):
        if not any(label in _names(record) for record in records):
            there = {name for record in records for name in _names(record)}
            raise unknown("variant of the profile", label, there)
    if not wanted:
        return list(records)
    return [r for r in records if _names(r) & wanted or r.cell.label == baseline]


def of_lengths(records: Sequence[Record], text: str | None) -> list[Record]:
    """The records of these lengths, as they are typed; all if none is given.

    Raises:
        UsageError: there are none, or it cannot be read.
    """
    if text is None:
        return list(records)
    wanted = set(lengths(text))
    selected = [record for record in records if record.cell.seq in wanted]
    if not selected:
        there = ", ".join(map(str, sorted({record.cell.seq for record in records})))
        raise UsageError(f"--seq: nothing of the profile has {shortened(text)}", f"valid: {there}")
    return selected


def _labels(text: str) -> list[str]:
    """Commas stand between variants, and between the options of one: `a:x=1,y=2,b` are two.

    >>> _labels("linformer:rank=64,sharing=1,sdpa")
    ['linformer:rank=64,sharing=1', 'sdpa']
    """
    labels: list[str] = []
    for word in text.split(","):
        if labels and "=" in word and ":" not in word:
            labels[-1] += f",{word.strip()}"
        elif word.strip():
            labels.append(word.strip())
    return labels


def _names(record: Record) -> set[str]:
    return {record.cell.variant, record.cell.label}


def _on_axis(records: list[Record], name: str, axis: Axis, wanted: Any) -> list[Record]:
    values = {getattr(record.cell.setting, name) for record in records}
    if wanted is None and len(values) == 1:
        return records
    usual = getattr(USUAL, name)
    if wanted is not None:
        meant = [value for value in values if axis.meets(value, wanted)]
    else:
        meant = [usual] if axis.assumed and usual in values else []
    option = name.replace("_", "-")
    there = ", ".join(sorted(_shown(axis, value) for value in values))
    if not meant and wanted is not None:
        message = f"nothing was measured with {option} {_shown(axis, wanted)}, only with {there}"
        raise UsageError(message, f"measure it: effattn profile {_typed(name, wanted)} ...")
    if len(meant) != 1:
        raise UsageError(
            f"the profile has more than one {option}: {there}", f"say which: {flag(name)}"
        )
    return [record for record in records if getattr(record.cell.setting, name) == meant[0]]


def _shown(axis: Axis, value: Any) -> str:
    if axis.switch:
        return "on" if value else "off"
    return "as usual" if value is None else axis.write(value)


def _typed(name: str, wanted: Any) -> str:
    axis = AXES[name]
    return flag(name, wanted) if axis.switch else f"{flag(name)} {axis.write(wanted)}"
