"""Answers as JSON documents: seconds, bytes, joules, tokens; nothing is rounded."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from effattn_cli.analysis.selection.candidates import Limit, Requirements
from effattn_cli.analysis.selection.quality import SOURCE
from effattn_cli.analysis.selection.ranking import Choice, Evaluation
from effattn_cli.analysis.selection.relaxation import MaxContext, Relaxation
from effattn_cli.report.choice import budget_phrases, recommendation, sentence
from effattn_cli.setting import Setting

Document = dict[str, Any]


def choice(chosen: Choice, setting: Setting, relaxed: Sequence[Relaxation]) -> str:
    relaxations = {"relaxations": [*map(_relaxation, relaxed)]}
    return _text(_question(chosen.required, setting) | _choice(chosen) | relaxations)


def plan(choices: Sequence[Choice], single: Choice, setting: Setting) -> str:
    question = _question(choices[0].required, setting)
    said = {"answer": sentence.over(choices, single).plain}
    one = {"for_all": single.best.label if single.best else None}
    return _text(question | said | one | {"lengths": [*map(_choice, choices)]})


def longest(contexts: Sequence[MaxContext], setting: Setting, required: Requirements) -> str:
    reaches = [
        {
            "label": context.candidate.label,
            "longest": context.seq,
            "surely": context.lower,
            "at_most": context.upper,
            "open": context.open,
        }
        for context in contexts
    ]
    return _text(_question(required, setting) | {"reaches": reaches})


def _text(document: Document) -> str:
    return json.dumps(document, indent=1)


def _question(required: Requirements, setting: Setting) -> Document:
    return {
        "effattn_choice": 1,
        "units": {"latency": "s", "memory": "B", "energy": "J"},
        "setting": setting.values(),
        "needs": {
            "limits": [*map(_limit, required.limits)],
            "causal": required.causal,
            "decode": required.decode,
            "padding": required.padding,
            "exact": required.exact,
            "weights": required.weights,
            "fidelity": required.fidelity,
            "recall": required.recall,
            "confidence": required.confidence,
        },
        "scores": SOURCE,
    }


def _limit(limit: Limit) -> Document:
    return {"resource": limit.resource, "most": limit.max, "share": limit.metric.quantile}


def _relaxation(change: Relaxation) -> Document:
    return {
        "label": change.label,
        "seq": change.seq,
        "limits": [*map(_limit, change.limits)],
        "without": change.without,
        "cost": change.cost,
        "words": recommendation.relaxation(change),
    }


def _choice(chosen: Choice) -> Document:
    return {
        "seq": chosen.seq,
        "prefer": chosen.prefer,
        "scored": chosen.scored,
        "recommended": chosen.best.label if chosen.best else None,
        "answer": sentence.answer(chosen).plain,
        "tied": sorted(chosen.tied),
        "front": [one.label for one in chosen.front],
        "candidates": [_evaluation(one, chosen) for one in chosen.evaluations],
    }


def _evaluation(one: Evaluation, chosen: Choice) -> Document:
    binding = one.binding
    return {
        "label": one.label,
        "variant": one.candidate.variant,
        "options": dict(one.candidate.options),
        "fits": one.fits,
        "verdict": recommendation.verdict(one, chosen),
        "probability": one.probability if one.known else None,
        "certain": one.certain,
        "binding": binding.limit.resource if binding and not one.rejection else None,
        "dominated_by": chosen.dominated.get(one.label),
        "quality": asdict(one.candidate.quality),
        "estimates": {
            name: asdict(estimate) | {"how": budget_phrases.basis(estimate)}
            for name, estimate in one.estimates.items()
        },
        "slack": {
            headroom.limit.resource: [
                headroom.limit.max - end
                for end in (
                    headroom.estimate.high, headroom.estimate.value, headroom.estimate.low
                )
            ]
            for headroom in one.headrooms
            if headroom.estimate is not None
        },
    }  # fmt: skip
