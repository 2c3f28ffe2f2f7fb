"""What `effattn model --json` prints: numbers and bytes, nothing rounded."""

import json
from collections.abc import Sequence
from typing import Any

from msgspec import to_builtins

from effattn_cli.app.models import Budget, Budgets

PLAIN = (
    "name", "family", "dim", "vocab", "dtype", "context", "parameters", "embedding", "head", "tied",
    "other",
)  # fmt: skip


def document(answers: Sequence[Budgets]) -> str:
    """One JSON document: the model, and its other layouts."""
    run = answers[0].budgets[0].deployment
    document = {
        "effattn_model": 1,
        "units": {"memory": "B", "parameters": "numbers"},
        "weights": run.weights,
        "cache": run.cache,
        "chunk": run.chunk,
        "training": run.training,
        "limit": answers[0].limit,
        "layouts": [*map(_layout, answers)],
    }
    return json.dumps(document, indent=1)


def _layout(answer: Budgets) -> dict[str, Any]:
    model = answer.model
    plain = {name: getattr(model, name) for name in PLAIN}
    order = list(model.distinct())
    layers = [{"count": count, **to_builtins(layer)} for layer, count in model.distinct().items()]
    return plain | {
        "layers": layers,
        "order": [order.index(layer) for layer in model.layers],
        "notes": list(model.notes),
        "budgets": [*map(_budget, answer.budgets)],
        "fits": [{"batch": f.batch, "context": f.context, "paged": f.paged} for f in answer.fits],
    }


def _budget(budget: Budget) -> dict[str, Any]:
    return {
        "context": budget.deployment.context,
        "batch": budget.deployment.batch,
        "lines": dict(budget.memory.lines),
        "total": budget.memory.total,
        "allocated": budget.memory.allocated,
        "page": budget.memory.page,
    }
