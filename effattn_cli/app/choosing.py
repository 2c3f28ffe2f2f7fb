"""What `effattn choose` is asked, the records that answer it, and the policy that it makes."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from effattn_cli import library
from effattn_cli.analysis.cost import utilisation
from effattn_cli.analysis.selection import evidence as measured
from effattn_cli.analysis.selection import spans
from effattn_cli.analysis.selection.candidates import Candidate, Requirements, candidates
from effattn_cli.analysis.selection.filters import Pool, narrowed, pool
from effattn_cli.analysis.selection.ordering import Preference
from effattn_cli.analysis.selection.own_scores import joined
from effattn_cli.analysis.selection.price import Price
from effattn_cli.analysis.selection.ranking import Choice, choose
from effattn_cli.analysis.selection.ranking import Evaluation as CandidateAt
from effattn_cli.app import Note, evidence, named_profiles
from effattn_cli.app.asked_variants import asked_for
from effattn_cli.catalog import BrokenPlugin, Catalog
from effattn_cli.errors import UsageError
from effattn_cli.evaluation import Evaluation
from effattn_cli.machine import Machine
from effattn_cli.policy import Policy, Rule
from effattn_cli.records import Profile, Record
from effattn_cli.setting import Setting

#: What a card says of a swap.
FACTS = ("swap", "swap_if", "own_kv_heads", "shortens", "borrows", "reach", "deployed")


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is to be chosen: where, and for what."""

    profiles: Sequence[str] = ()  # names; none: the newest that have such cells
    setting: Mapping[str, Any]  # the values on the axes that were given
    variants: Sequence[str] = ()  # which take part, as they are typed; none: all
    required: Requirements
    prefer: Preference = "quality"
    evidence: Sequence[str] = ()  # names of evaluations; none: the newest, and those shipped


@dataclass(frozen=True, kw_only=True)
class Place:
    """A machine that takes part in a choice."""

    name: str
    machine: Machine
    setting: Setting
    price: Price | None


@dataclass(frozen=True)
class Case:
    """The question, and the records that answer it."""

    question: Question
    setting: Setting
    records: Sequence[Record]
    candidates: Sequence[Candidate]
    profile: Profile
    scored: str | None  # what the profiles' own scores are of
    plugins: Mapping[str, str]  # candidates that are not bundled, and where each came from
    places: Sequence[Place] = ()  # where there are several machines, or prices: the machines

    @property
    def required(self) -> Requirements:
        return self.question.required

    def at(self, seq: int) -> Choice:
        prefer = self.question.prefer
        return choose(self.candidates, seq, self.required, prefer, self.scored)

    def over(self, seqs: Sequence[int]) -> Choice:
        """Of one variant for all these lengths."""
        return spans.over([self.at(seq) for seq in seqs])


def profiles_of(question: Question, note: Note, tell: Note) -> dict[str, Profile]:
    """What is named, or else the newest that have such cells, by name; `tell` is given the names of
    those that nobody named.
    """
    return _named(question, note) if question.profiles else _newest(question, tell)


def case_of(
    question: Question,
    named: Mapping[str, Profile],
    evaluations: Mapping[str, Evaluation],
    note: Note,
) -> Case:
    """The records of one setting that answer the question, from the profiles of one machine."""
    profiles = [as_known_now(profile) for profile in named.values()]
    pooled = pool(profiles)
    records = _narrowed(pooled, question, note)
    scores = joined(profiles)
    setting, variants = records[0].cell.setting, pooled.variants
    competing = candidates(
        records,
        question.required,
        variants,
        pooled.records,
        scores,
        utilisation.of(setting, pooled.rooflines),
        measured.evidence(
            evaluations,
            setting,
            {name: variant.code for name, variant in variants.items()},
        ),
    )
    competing = asked_for(competing, question.variants)
    evidence.refuse_unknown(competing, question.required)
    _say_other_code(competing, note)
    return Case(
        question=question,
        setting=setting,
        records=records,
        candidates=competing,
        profile=profiles[0],
        scored=scores.of if scores else None,
        plugins={
            one.label: variants[one.variant].origin
            for one in competing
            if variants[one.variant].plugin is not None
        },
    )


def _say_other_code(competing: Sequence[Candidate], note: Note) -> None:
    if labels := evidence.of_other_code(competing):
        note(f"the evidence on {', '.join(labels)} is of other code than the profile's")


def _narrowed(pooled: Pool, question: Question, note: Note) -> list[Record]:
    """With padding where it was measured; else what takes padding, measured without."""
    wanted = dict(question.setting)
    padded = any(record.cell.setting.padding for record in pooled.records)
    if wanted.get("padding") and not padded:
        note("no cell was measured with padding: these are the times without")
        del wanted["padding"]
    return narrowed(pooled.records, wanted)


def _named(question: Question, note: Note) -> dict[str, Profile]:
    names = library.expanded(question.profiles)
    profiles = {name: named_profiles.read(name, note) for name in names}
    for name, profile in profiles.items():
        if not profile.records:
            raise UsageError(f"{name}: it holds no records")
    return profiles


def _newest(question: Question, tell: Note) -> dict[str, Profile]:
    """The newest saved profiles that have such cells, all of the newest one's machine."""
    kept, first = named_profiles.newest(
        lambda profile: _narrowed(pool([profile]), question, note=lambda _: None)
    )
    if not kept:
        hint = "effattn profile -v all, or name a profile: effattn choose ref:..."
        raise first or UsageError("no profile is saved yet", hint)
    where = named_profiles.elsewhere(next(iter(kept.values())))
    tell(f"from {', '.join(kept)}{f', measured on {where}' if where else ''}")
    return kept


def as_known_now(profile: Profile) -> Profile:
    """With what effattn knows today of bundled variants, where the profile is older than that: what
    a swap takes, and what was published. The baseline, or whatever is exact, tells: it says so.
    """
    if any(variant.card.swap != "trained" for variant in profile.variants.values()):
        return profile
    catalog, variants = Catalog(), dict(profile.variants)
    for name, variant in profile.variants.items():
        if variant.plugin is None:
            with suppress(UsageError, BrokenPlugin):
                today = catalog.variant(name).card
                facts = {fact: getattr(today, fact) for fact in FACTS}
                if variant.card.lra is None:
                    facts["lra"] = today.lra
                variants[name] = replace(variant, card=replace(variant.card, **facts))
    return replace(profile, variants=variants)


def policy(case: Case, choices: Sequence[Choice]) -> Policy | None:
    """A rule for each length at which something fits; None where that is none.

    The best of each length, where all of them keep the model's weights. Else the same variant at
    all lengths: a model that was trained with one cannot switch.
    """
    bests = {choice.seq: choice.best for choice in choices}
    qualities = [best.candidate.quality for best in bests.values() if best is not None]
    if not all(quality.keeps_weights for quality in qualities):
        single = one_for_all(choices)
        bests = {choice.seq: single and _of(choice, single.label) for choice in choices}
    rules = [_rule(seq, best) for seq, best in bests.items() if best is not None and best.fits]
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


def one_for_all(choices: Sequence[Choice]) -> CandidateAt | None:
    """The best of what fits at all lengths, or else what fits at the most from the first on."""
    return spans.over(choices).best or spans.farthest(choices)


def _of(choice: Choice, label: str) -> CandidateAt | None:
    return next((one for one in choice.evaluations if one.label == label), None)


def _rule(seq: int, best: CandidateAt) -> Rule:
    bases = [h.estimate.basis for h in best.headrooms if h.estimate is not None]
    order = ("predicted", "interpolated", "measured")
    return Rule(
        up_to=seq,
        variant=best.candidate.variant,
        options=best.candidate.options,
        basis=min(bases, key=order.index, default="measured"),
        probability=round(best.probability, 3),
        margins={h.limit.resource: round(1 - h.used, 3) for h in best.headrooms},
    )
