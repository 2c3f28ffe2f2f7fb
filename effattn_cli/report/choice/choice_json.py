"""Answers as JSON documents: seconds, bytes, joules, tokens; nothing is rounded."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from effattn_cli.analysis.selection import candidates, ranking, relaxation
from effattn_cli.analysis.selection.quality import SOURCE
from effattn_cli.records import Cell
from effattn_cli.report.choice import budget_phrases
from effattn_cli.report.choice import recommendation as words

Document = dict[str, Any]


def choice(found: ranking.Choice, shape: Cell, relaxed: Sequence[relaxation.Relaxation]) -> str:
    return _text(_question(found.needs, shape) | _choice(found) | {"relaxations": _plain(relaxed)})


def plan(found: Sequence[ranking.Choice], shape: Cell) -> str:
    choices = [_choice(each) for each in found]
    return _text(_question(found[0].needs, shape) | {"lengths": choices})


def longest(found: Sequence[relaxation.Reach], shape: Cell, needs: candidates.Needs) -> str:
    reaches = [
        {
            "label": each.contender.label,
            "longest": each.seq,
            "surely": each.safe,
            "at_most": each.hopeful,
            "open": each.open,
        }
        for each in found
    ]
    return _text(_question(needs, shape) | {"reaches": reaches})


def _text(document: Document) -> str:
    return json.dumps(document, indent=1)


def _question(needs: candidates.Needs, shape: Cell) -> Document:
    setting = {name: value for name, value in asdict(shape).items() if name not in OWN}
    return {
        "effattn_choice": 1,
        "units": {"latency": "s", "memory": "B", "energy": "J"},
        "setting": setting,
        "needs": asdict(needs),
        "scores": SOURCE,
    }


OWN = {"variant", "options", "seq"}


def _plain(relaxed: Sequence[relaxation.Relaxation]) -> list[Document]:
    return [asdict(each) | {"words": words.relaxation(each)} for each in relaxed]


def _choice(found: ranking.Choice) -> Document:
    return {
        "seq": found.seq,
        "prefer": found.prefer,
        "scored": found.scored,
        "recommended": found.best.label if found.best else None,
        "candidates": [_candidate(one, found) for one in found.candidates],
    }


def _candidate(one: ranking.Candidate, found: ranking.Choice) -> Document:
    binding = one.binding
    return {
        "label": one.label,
        "variant": one.contender.variant,
        "options": dict(one.contender.options),
        "fits": one.fits,
        "verdict": words.verdict(one, found),
        "chance": one.chance if one.known else None,
        "certain": one.certain,
        "binding": binding.limit.resource if binding and not one.refusal else None,
        "dominated_by": found.rivals.get(one.label),
        "quality": asdict(one.contender.quality),
        "estimates": {
            name: asdict(estimate) | {"how": budget_phrases.basis(estimate)}
            for name, estimate in one.estimates.items()
        },
        "slack": {
            margin.limit.resource: [
                margin.limit.most - end
                for end in (margin.estimate.high, margin.estimate.value, margin.estimate.low)
            ]
            for margin in one.margins
            if margin.estimate is not None
        },
    }
