"""What a page or a chart of profiles is about: which of their cells, which length, which limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from effattn_cli.analysis.selection.candidates import Limit
from effattn_cli.analysis.selection.filters import matching, narrowed
from effattn_cli.analysis.series import by_setting
from effattn_cli.app import Note, named_profiles
from effattn_cli.errors import UsageError, unknown
from effattn_cli.plan.budgets import limit
from effattn_cli.ranges import lengths
from effattn_cli.records import Profile, Record


@dataclass(frozen=True, kw_only=True)
class Question:
    """As it is typed."""

    profiles: Sequence[str]
    variants: Sequence[str] = ()  # names or labels, with commas between them; none: all
    setting: Mapping[str, Any]  # the values on the axes that were given
    seq: str | None = None
    limits: Mapping[str, str | None]  # by resource


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The profiles by name, with no cells but those that are meant."""

    profiles: Mapping[str, Profile]
    seq: int | None
    limits: Sequence[Limit]


def answered(question: Question, note: Note, *, single: bool = False) -> Answer:
    """What is to be shown; if `single`, of one profile and one setting.

    Raises:
        UsageError: there is no such profile, variant or setting, or not one alone.
    """
    seqs = lengths(question.seq) if question.seq else ()
    if len(seqs) > 1:
        raise UsageError(f"--seq: {question.seq!r} stands for {len(seqs)} lengths", "give one")
    limits = [limit(resource, text) for resource, text in question.limits.items() if text]
    if single and len(question.profiles) > 1:
        raise UsageError("--chart draws one profile", "without --chart they stand side by side")
    profiles = {name: named_profiles.read(name, note) for name in question.profiles}
    shown = {
        name: replace(profile, records=_records(profile, name, question, single=single))
        for name, profile in profiles.items()
    }
    return Answer(profiles=shown, seq=next(iter(seqs), None), limits=limits)


def _records(
    profile: Profile, name: str, question: Question, *, single: bool
) -> tuple[Record, ...]:
    if not profile.records:
        raise UsageError(f"{name}: it holds no records")
    records = matching(profile.records, question.setting)
    if single and len(by_setting(records)) > 1:
        records = narrowed(records, question.setting)
    wanted = {label for text in question.variants for label in _labels(text)}
    for label in sorted(wanted):
        if not any(label in _names(record) for record in records):
            there = {name for record in records for name in _names(record)}
            raise unknown("variant of the profile", label, there)
    if not wanted:
        return tuple(records)
    wanted.add(profile.baseline or "")
    return tuple(record for record in records if _names(record) & wanted)


def _labels(text: str) -> list[str]:
    """Commas stand between variants, and between the options of one: `a:x=1,y=2,b` are two.

    >>> _labels("linformer:rank=64,sharing=1,sdpa")
    ['linformer:rank=64,sharing=1', 'sdpa']
    """
    found: list[str] = []
    for word in text.split(","):
        if found and "=" in word and ":" not in word:
            found[-1] += f",{word.strip()}"
        elif word.strip():
            found.append(word.strip())
    return found


def _names(record: Record) -> set[str]:
    return {record.cell.variant, record.cell.label}
