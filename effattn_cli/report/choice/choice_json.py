"""Answers as JSON documents: seconds, bytes, joules, tokens; nothing is rounded."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from msgspec.structs import asdict as fields

from effattn_cli.analysis.selection.candidates import Limit, Requirements
from effattn_cli.analysis.selection.evidence import TASKS
from effattn_cli.analysis.selection.quality import SOURCE
from effattn_cli.analysis.selection.ranking import Choice, Evaluation, Headroom
from effattn_cli.analysis.selection.relaxation import MaxContext, Relaxation
from effattn_cli.app.choosing import Place
from effattn_cli.estimate import Estimate
from effattn_cli.report.choice import budget_phrases, recommendation, sentence
from effattn_cli.report.documents import choices as documents
from effattn_cli.report.documents import kinds
from effattn_cli.report.documents.choices import (
    CandidateAt,
    ChoiceAt,
    KnownAmount,
    LongestContext,
    Needs,
    PricedMachine,
    RelaxedNeeds,
    ResourceLimit,
)
from effattn_cli.setting import Setting


def choice(
    chosen: Choice, setting: Setting, relaxed: Sequence[Relaxation], places: Sequence[Place] = ()
) -> str:
    """At one length."""
    document = documents.Choice(
        **_question(chosen.required, setting, places),
        **fields(_choice(chosen)),
        relaxations=tuple(map(_relaxation, relaxed)),
    )
    return kinds.text(document)


def plan(
    choices: Sequence[Choice], single: Choice, setting: Setting, places: Sequence[Place] = ()
) -> str:
    """At each of several lengths, and for all of them."""
    document = documents.Choice(
        **_question(choices[0].required, setting, places),
        answer=sentence.over(choices, single).plain,
        for_all=single.best.label if single.best else None,
        lengths=tuple(map(_choice, choices)),
    )
    return kinds.text(document)


def longest(
    contexts: Sequence[MaxContext],
    setting: Setting,
    required: Requirements,
    places: Sequence[Place] = (),
) -> str:
    """How far each candidate reaches."""
    reaches = tuple(
        LongestContext(
            label=context.candidate.label,
            longest=context.seq,
            surely=context.lower,
            at_most=context.upper,
            open=context.open,
        )
        for context in contexts
    )
    return kinds.text(documents.Choice(**_question(required, setting, places), reaches=reaches))


def _question(required: Requirements, setting: Setting, places: Sequence[Place]) -> dict[str, Any]:
    """The fields that say what was asked."""
    evidence: dict[str, Any] = {task: required.evidence.get(task) for task in TASKS}
    needs = Needs(
        limits=tuple(map(_limit, required.limits)),
        causal=required.causal,
        decode=required.decode,
        padding=required.padding,
        exact=required.exact,
        weights=required.weights,
        **evidence,
        confidence=required.confidence,
    )
    units = {"latency": "s", "memory": "B", "energy": "J"}
    machines = tuple(
        PricedMachine(
            name=place.name,
            words=place.machine.words,
            setting=place.setting,
            price=place.price.typed if place.price else None,
        )
        for place in places
    )
    return {
        "units": units,
        "setting": setting,
        "needs": needs,
        "scores": SOURCE,
        "machines": machines,
    }


def _limit(limit: Limit) -> ResourceLimit:
    return ResourceLimit(resource=limit.resource, max=limit.max, quantile=limit.metric.quantile)


def _relaxation(change: Relaxation) -> RelaxedNeeds:
    return RelaxedNeeds(
        label=change.label,
        seq=change.seq,
        limits=tuple(map(_limit, change.limits)),
        without=change.without,
        cost=change.cost,
        words=recommendation.relaxation(change),
    )


def _choice(chosen: Choice) -> ChoiceAt:
    return ChoiceAt(
        seq=chosen.seq,
        prefer=chosen.prefer,
        scored=chosen.scored,
        recommended=chosen.best.label if chosen.best else None,
        answer=sentence.answer(chosen).plain,
        tied=tuple(sorted(chosen.tied)),
        front=tuple(one.label for one in chosen.front),
        candidates=tuple(_evaluation(one, chosen) for one in chosen.evaluations),
    )


def _evaluation(one: Evaluation, chosen: Choice) -> CandidateAt:
    binding = one.binding
    return CandidateAt(
        label=one.label,
        machine=one.candidate.machine,
        variant=one.candidate.variant,
        options=one.candidate.options,
        fits=one.fits,
        decision=recommendation.decision(one, chosen),
        probability=one.probability if one.known else None,
        certain=one.certain,
        binding=binding.limit.resource if binding and not one.rejection else None,
        dominated_by=chosen.dominated.get(one.label),
        quality=one.candidate.quality,
        estimates={name: _known(estimate) for name, estimate in one.estimates.items()},
        cost=_known(one.cost) if one.cost is not None else None,
        slack={
            headroom.limit.resource: _slack(headroom)
            for headroom in one.headrooms
            if headroom.estimate is not None
        },
    )


def _known(estimate: Estimate) -> KnownAmount:
    return KnownAmount(**asdict(estimate), how=budget_phrases.basis(estimate))


def _slack(headroom: Headroom) -> tuple[float, float, float]:
    """What is left of the limit, at the upper end of the interval, the value, the lower end."""
    estimate, allowed = headroom.estimate, headroom.limit.max
    assert estimate is not None
    return allowed - estimate.high, allowed - estimate.value, allowed - estimate.low
