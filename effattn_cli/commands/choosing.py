"""The course of `effattn choose`: narrow the profiles to the question, answer it."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from effattn_cli import ranges, units
from effattn_cli.analysis.selection.filters import machine
from effattn_cli.analysis.selection.ranking import Choice
from effattn_cli.analysis.selection.relaxation import reaches, relaxations
from effattn_cli.app.choice_query import Case, Wishes, case_of
from effattn_cli.app.named_profiles import unless_there
from effattn_cli.policy import Policy, Rule, Shape
from effattn_cli.report import charts, terminal_chart
from effattn_cli.report.choice import choice_json, context_view, recommendation
from effattn_cli.report.console import stdout

NOTHING = 1  # exit code: nothing fits


def run(wishes: Wishes) -> int:
    """Everything that `effattn choose` does; gives its exit code."""
    needs = wishes.needs()
    seqs = ranges.lengths(wishes.seq) if wishes.seq else ()
    case = case_of(wishes, needs)
    if wishes.emit is not None:
        unless_there(wishes.emit, force=wishes.force)
        return _emit(case, seqs, wishes.emit)
    if not seqs:
        return _longest(case)
    if len(seqs) > 1:
        return _plan(case, seqs)
    return _answer(case, seqs[0])


def _answer(case: Case, seq: int) -> int:
    found = case.at(seq)
    relaxed = relaxations(found) if found.best is None else []
    if case.wishes.json:
        print(choice_json.choice(found, case.shape, relaxed))
    else:
        console = stdout()
        console.print(recommendation.answer(found, case.shape, relaxed), highlight=False)
        if case.wishes.explain:
            console.print()
            console.print(recommendation.explanation(found), highlight=False)
        terminal_chart.show(charts.of_choice(found), console, asked=case.wishes.chart)
    return 0 if found.best is not None else NOTHING


def _plan(case: Case, seqs: Sequence[int]) -> int:
    found = [case.at(seq) for seq in seqs]
    if case.wishes.json:
        print(choice_json.plan(found, case.shape))
    else:
        stdout().print(context_view.plan(found, case.shape), highlight=False)
    return 0 if any(each.best for each in found) else NOTHING


def _longest(case: Case) -> int:
    found = reaches(case.contenders, case.needs)
    if case.wishes.json:
        print(choice_json.longest(found, case.shape, case.needs))
    else:
        stdout().print(context_view.longest(found, case.shape, case.needs), highlight=False)
    return 0 if any(each.seq for each in found) else NOTHING


def _emit(case: Case, seqs: Sequence[int], path: Path) -> int:
    """A rule for each length, of those measured if none is given, at which something fits."""
    lengths = seqs or sorted({record.cell.seq for record in case.records})
    rules = [rule for seq in lengths if (rule := _rule(case.at(seq))) is not None]
    if not rules:
        _plan(case, lengths)
        print("nothing fits at any of these lengths; no policy is written", file=sys.stderr)
        return NOTHING
    missing = [units.length(seq) for seq in lengths if seq not in {rule.up_to for rule in rules}]
    if missing:
        print(f"note: nothing fits at {', '.join(missing)}: no rule there", file=sys.stderr)
    share = case.needs.share("latency")
    known = {name: getattr(case.shape, name) for name in Shape.__dataclass_fields__}
    Policy(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=machine(case.profile),
        limits={limit.resource: limit.most for limit in case.needs.limits},
        latency_share=share,
        shape=Shape(**known),
        rules=tuple(rules),
    ).write(path)
    _plan(case, lengths)
    print(f"saved: {path}", file=sys.stderr)
    return 0


def _rule(found: Choice) -> Rule | None:
    best = found.best
    if best is None:
        return None
    bases = [m.estimate.basis for m in best.margins if m.estimate is not None]
    order = ("predicted", "interpolated", "measured")
    return Rule(
        up_to=found.seq,
        variant=best.contender.variant,
        options=best.contender.options,
        basis=min(bases, key=order.index),
        chance=round(best.chance, 3),
        margins={m.limit.resource: round(1 - m.used, 3) for m in best.margins},
    )
