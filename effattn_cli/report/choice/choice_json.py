"""Answers as JSON documents: seconds, bytes, joules, tokens; nothing is rounded."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from effattn_cli.analysis.selection.candidates import Limit, Requirements
from effattn_cli.analysis.selection.quality import SOURCE
from effattn_cli.analysis.selection.ranking import Choice, Evaluation
from effattn_cli.analysis.selection.relaxation import MaxContext, Relaxation
from effattn_cli.report.choice import budget_phrases, recommendation
from effattn_cli.setting import Setting

Document = dict[str, Any]


def choice(found: Choice, setting: Setting, relaxed: Sequence[Relaxation]) -> str:
    relaxations = {"relaxations": [*map(_relaxation, relaxed)]}
    return _text(_question(found.required, setting) | _choice(found) | relaxations)


def plan(choices: Sequence[Choice], setting: Setting) -> str:
    question = _question(choices[0].required, setting)
    return _text(question | {"lengths": [*map(_choice, choices)]})


def longest(found: Sequence[MaxContext], setting: Setting, required: Requirements) -> str:
    reaches = [
        {
            "label": each.candidate.label,
            "longest": each.seq,
            "surely": each.lower,
            "at_most": each.upper,
            "open": each.open,
        }
        for each in found
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
            "confidence": required.confidence,
        },
        "scores": SOURCE,
    }


def _limit(limit: Limit) -> Document:
    return {"resource": limit.resource, "most": limit.max, "share": limit.metric.quantile}


def _relaxation(found: Relaxation) -> Document:
    return {
        "label": found.label,
        "seq": found.seq,
        "limits": [*map(_limit, found.limits)],
        "inexact": found.inexact,
        "cost": found.cost,
        "words": recommendation.relaxation(found),
    }


def _choice(found: Choice) -> Document:
    return {
        "seq": found.seq,
        "prefer": found.prefer,
        "scored": found.scored,
        "recommended": found.best.label if found.best else None,
        "candidates": [_evaluation(one, found) for one in found.evaluations],
    }


def _evaluation(one: Evaluation, found: Choice) -> Document:
    binding = one.binding
    return {
        "label": one.label,
        "variant": one.candidate.variant,
        "options": dict(one.candidate.options),
        "fits": one.fits,
        "verdict": recommendation.verdict(one, found),
        "chance": one.probability if one.known else None,
        "certain": one.certain,
        "binding": binding.limit.resource if binding and not one.rejection else None,
        "dominated_by": found.dominated.get(one.label),
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
