"""What is asked for with `--task recall,update,parity`: tiny models that learn a task."""

from collections.abc import Callable, Mapping
from functools import partial

from effattn_cli.app import Note
from effattn_cli.catalog import Catalog
from effattn_cli.errors import UsageError
from effattn_cli.evaluate.task_specs import TASKS as SYNTHETIC
from effattn_cli.evaluate.task_specs import Task
from effattn_cli.evaluation import Evidence
from effattn_cli.plan.evaluation_request import EvaluationRequest
from effattn_cli.plan.mixers import mixers
from effattn_cli.plan.variant_choices import select
from effattn_cli.run import ability_steps

#: The evidence that a request asks for, none of it found yet.
Asking = Callable[[EvaluationRequest, Catalog, Note], tuple[Evidence, ...]]


def _asked(
    task: Task, request: EvaluationRequest, catalog: Catalog, note: Note
) -> tuple[Evidence, ...]:
    if not request.variant:
        raise UsageError(
            f"--task {task.name} trains variants, and none is named", "-v gla,sdpa, say"
        )
    choices = select(request.variant, catalog)
    mixing = tuple(c for c in choices if catalog.variant(c.name).card.kind != "feed-forward")
    if left := ", ".join(choice.label for choice in choices if choice not in mixing):
        if not mixing:
            raise UsageError(f"--task {task.name}: {left} mixes no tokens", "-v gla,sdpa, say")
        note(f"left out of {task.name}, as they mix no tokens: {left}")
    seeds = range(request.seed, request.seed + request.seeds)
    return ability_steps.wanted(mixers(request, mixing, catalog), task, seeds)


TASKS: Mapping[str, Asking] = {name: partial(_asked, task) for name, task in SYNTHETIC.items()}
