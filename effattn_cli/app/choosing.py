"""What `effattn choose` is asked, the records that answer it, and the policy that it makes."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from effattn_cli import library
from effattn_cli.analysis.cost import utilisation
from effattn_cli.analysis.selection.candidates import Candidate, Requirements, candidates
from effattn_cli.analysis.selection.filters import Pool, narrowed, pool
from effattn_cli.analysis.selection.own_scores import joined
from effattn_cli.analysis.selection.ranking import Choice, Preference, choose
from effattn_cli.app import Note, named_profiles
from effattn_cli.cards import Variant
from effattn_cli.catalog import BrokenPlugin, Catalog
from effattn_cli.errors import UsageError
from effattn_cli.machine import differences
from effattn_cli.policy import Policy, Rule
from effattn_cli.records import Profile, Record
from effattn_cli.setting import Setting

NEWEST = 8  # saved profiles that are looked at


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is to be chosen: where, and for what."""

    profiles: Sequence[str] = ()  # names; none: the newest that have such cells
    setting: Mapping[str, Any]  # the values on the axes that were given
    required: Requirements
    prefer: Preference = "quality"


@dataclass(frozen=True)
class Case:
    """The question, and the records that answer it."""

    question: Question
    setting: Setting
    records: Sequence[Record]
    candidates: Sequence[Candidate]
    profile: Profile
    scored: str | None  # what the profiles' own scores are of

    @property
    def required(self) -> Requirements:
        return self.question.required

    def at(self, seq: int) -> Choice:
        prefer = self.question.prefer
        return choose(self.candidates, seq, self.required, prefer, self.scored)


def case_of(question: Question, note: Note, tell: Note) -> Case:
    """The records of one setting that answer the question; `tell` is given the names of profiles
    that nobody named.
    """
    profiles = _named(question, note) if question.profiles else _newest(question, tell)
    pooled = pool(profiles)
    records = _narrowed(pooled, question, note)
    scores = joined(profiles)
    setting = records[0].cell.setting
    return Case(
        question=question,
        setting=setting,
        records=records,
        candidates=candidates(
            records,
            question.required,
            _published(pooled.variants),
            pooled.records,
            scores,
            utilisation.of(setting, pooled.rooflines),
        ),
        profile=profiles[0],
        scored=scores.of if scores else None,
    )


def _narrowed(pooled: Pool, question: Question, note: Note) -> list[Record]:
    """With padding where it was measured; else what takes padding, measured without."""
    wanted = dict(question.setting)
    padded = any(record.cell.setting.padding for record in pooled.records)
    if wanted.get("padding") and not padded:
        note("no cell was measured with padding: these are the times without")
        del wanted["padding"]
    return narrowed(pooled.records, wanted)


def _named(question: Question, note: Note) -> list[Profile]:
    profiles = [named_profiles.read(name, note) for name in question.profiles]
    for name, profile in zip(question.profiles, profiles, strict=True):
        if not profile.records:
            raise UsageError(f"{name}: it holds no records")
    return profiles


def _newest(question: Question, tell: Note) -> list[Profile]:
    """The newest saved profiles that have such cells, all of the newest one's machine."""
    kept: dict[str, Profile] = {}
    first: UsageError | None = None
    for name in list(library.newest())[:NEWEST]:
        try:
            profile = library.read(name)
            _narrowed(pool([profile]), question, note=lambda _: None)
        except UsageError as error:
            first = first or error
            continue
        newest = next(iter(kept.values()), profile)
        if profile.records and not differences(profile.machine, newest.machine, "hardware"):
            kept[name] = profile
    if not kept:
        hint = "effattn profile -v all, or name a profile: effattn choose ref:..."
        raise first or UsageError("no profile is saved yet", hint)
    tell(f"from {', '.join(kept)}")
    return list(kept.values())


def _published(variants: Mapping[str, Variant]) -> dict[str, Variant]:
    """Published scores for a profile that was made before cards had them."""
    by_name = dict(variants)
    if any(variant.card.lra is not None for variant in variants.values()):
        return by_name
    catalog = Catalog()
    for name, variant in variants.items():
        if variant.plugin is None:
            with suppress(UsageError, BrokenPlugin):
                score = catalog.variant(name).card.lra
                by_name[name] = replace(variant, card=replace(variant.card, lra=score))
    return by_name


def policy(case: Case, choices: Sequence[Choice]) -> Policy | None:
    """A rule for each length at which something fits; None where that is none."""
    rules = [rule for choice in choices if (rule := _rule(choice)) is not None]
    if not rules:
        return None
    latency = case.required.metric("latency")
    return Policy(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=case.profile.machine.words,
        limits={limit.resource: limit.max for limit in case.required.limits},
        latency_share=latency.quantile,
        shape=case.setting,
        rules=tuple(rules),
    )


def _rule(choice: Choice) -> Rule | None:
    best = choice.best
    if best is None:
        return None
    bases = [h.estimate.basis for h in best.headrooms if h.estimate is not None]
    order = ("predicted", "interpolated", "measured")
    return Rule(
        up_to=choice.seq,
        variant=best.candidate.variant,
        options=best.candidate.options,
        basis=min(bases, key=order.index),
        probability=round(best.probability, 3),
        margins={h.limit.resource: round(1 - h.used, 3) for h in best.headrooms},
    )
