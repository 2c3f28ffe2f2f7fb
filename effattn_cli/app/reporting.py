"""What a page or a chart of profiles is about: which of their cells, which length, which limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from effattn_cli import library
from effattn_cli.analysis.selection.candidates import Limit
from effattn_cli.analysis.selection.filters import matching, narrowed, of_variants
from effattn_cli.analysis.series import by_setting
from effattn_cli.app import Note, evidence, named_profiles
from effattn_cli.errors import UsageError
from effattn_cli.evaluation import Evaluation
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
    evidence: Sequence[str] = ()  # names of evaluations; none: the newest, and those shipped


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The profiles by name, with no cells but those that are meant."""

    profiles: Mapping[str, Profile]
    seq: int | None
    limits: Sequence[Limit]
    evaluations: Mapping[str, Evaluation]  # by name


def answered(question: Question, note: Note, *, single: bool = False) -> Answer:
    """What is to be shown; if `single`, of one profile and one setting.

    Raises:
        UsageError: there is no such profile, variant or setting, or not one alone.
    """
    seqs = lengths(question.seq) if question.seq else ()
    if len(seqs) > 1:
        raise UsageError(f"--seq: {question.seq!r} stands for {len(seqs)} lengths", "give one")
    limits = [limit(resource, text) for resource, text in question.limits.items() if text]
    names = library.expanded(question.profiles)
    if single and len(names) > 1:
        raise UsageError("--chart draws one profile", "without --chart they stand side by side")
    profiles = {name: named_profiles.read_to_show(name, note) for name in names}
    shown = {
        name: replace(profile, records=_records(profile, name, question, single=single))
        for name, profile in profiles.items()
    }
    return Answer(
        profiles=shown,
        seq=next(iter(seqs), None),
        limits=limits,
        evaluations=evidence.evaluations(question.evidence, note),
    )


def _records(
    profile: Profile, name: str, question: Question, *, single: bool
) -> tuple[Record, ...]:
    if not profile.records:
        raise UsageError(f"{name}: it holds no records")
    records = matching(profile.records, question.setting)
    if single and len(by_setting(records)) > 1:
        records = narrowed(records, question.setting)
    return tuple(of_variants(records, question.variants, profile.baseline))
