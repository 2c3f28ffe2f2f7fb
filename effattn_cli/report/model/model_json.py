"""What `effattn model --json` prints: numbers and bytes, nothing rounded."""

import json

from msgspec import to_builtins

from effattn_cli.app.models import Budgets


def document(answer: Budgets) -> str:
    """One JSON document."""
    model = answer.model
    layers = [{"count": count, **to_builtins(layer)} for layer, count in model.distinct().items()]
    order = list(model.distinct())
    budgets = [
        {
            "context": budget.deployment.context,
            "batch": budget.deployment.batch,
            "lines": dict(budget.memory.lines),
            "total": budget.memory.total,
            "allocated": budget.memory.allocated,
            "page": budget.memory.page,
        }
        for budget in answer.budgets
    ]
    run = answer.budgets[0].deployment
    document = {
        "effattn_model": 1,
        "units": {"memory": "B", "parameters": "numbers"},
        "name": model.name,
        "family": model.family,
        "dim": model.dim,
        "vocab": model.vocab,
        "dtype": model.dtype,
        "context": model.context,
        "parameters": model.parameters,
        "embedding": model.embedding,
        "head": model.head,
        "tied": model.tied,
        "other": model.other,
        "layers": layers,
        "order": [order.index(layer) for layer in model.layers],
        "notes": list(model.notes),
        "weights": run.weights,
        "cache": run.cache,
        "chunk": run.chunk,
        "training": run.training,
        "budgets": budgets,
        "limit": answer.limit,
        "fits": [{"batch": f.batch, "context": f.context, "paged": f.paged} for f in answer.fits],
    }
    return json.dumps(document, indent=1)
