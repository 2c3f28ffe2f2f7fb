"""The jobs that compare cores with exact attention: a count of each cell, then each regime."""

from collections.abc import Iterator, Mapping
from functools import partial

from msgspec.structs import replace

from effattn_cli.cards import Variant
from effattn_cli.evaluation import Evaluation, Evidence, Fidelity
from effattn_cli.records import Cell, Failure
from effattn_cli.run.evaluator import Step
from effattn_cli.run.jobs import Compared, CountCost, Counted, Job, MeasureFidelity, task

COUNTING = 120.0  # seconds for a cell


def wanted(
    cells: tuple[Cell, ...], regimes: Mapping[str, str | None], draws: int
) -> tuple[Evidence, ...]:
    """The evidence that is to be found: each regime, with the hash of its data if it has some, for
    each cell.
    """
    empty = tuple(Fidelity(regime=name, data=data, draws=draws) for name, data in regimes.items())
    return tuple(Evidence(cell=cell, fidelity=empty) for cell in cells)


def is_open(fidelity: Fidelity) -> bool:
    """Whether it is still to be found out."""
    return not fidelity.errors and fidelity.failure is None


def steps(
    evaluation: Evaluation, seconds: float, memory: int, file: str | None = None
) -> Iterator[Step]:
    """What is left to do."""
    for record in evaluation.records:
        left = [one for one in record.fidelity if is_open(one)]
        if left and record.cost is None:
            yield _counting(record.cell, evaluation.variants)
        for one in left:
            request = MeasureFidelity(
                task=task(record.cell, evaluation.variants),
                wanted=one,
                seed=evaluation.seed,
                file=file if one.data else None,
            )
            yield Step(
                cell=record.cell,
                what=one.regime,
                job=Job(request=request, timeout=seconds, memory=memory),
                answer=Compared,
                enter=partial(_entered, wanted=one),
            )


def _counting(cell: Cell, variants: Mapping[str, Variant]) -> Step:
    request = CountCost(tasks=(task(cell, variants),))
    job = Job(request=request, timeout=COUNTING)
    return Step(cell=cell, what="counting", job=job, answer=Counted, enter=_counted)


def _counted(record: Evidence, answer: Counted | Failure) -> Evidence:
    """What cannot be counted stays unknown."""
    return record if isinstance(answer, Failure) else replace(record, cost=answer.cost)


def _entered(record: Evidence, answer: Compared | Failure, *, wanted: Fidelity) -> Evidence:
    if isinstance(answer, Failure):
        result, kept = replace(wanted, failure=answer), record.state_bytes
    else:
        result, kept = answer.fidelity, answer.state_bytes
    results = tuple(result if one == wanted else one for one in record.fidelity)
    return replace(record, fidelity=results, state_bytes=kept)
