"""What `effattn model --json` prints: numbers and bytes, nothing rounded."""

from collections.abc import Sequence

from msgspec.structs import asdict, replace

from effattn_cli.app.models import Budget, Budgets
from effattn_cli.report.documents import kinds
from effattn_cli.report.documents.models import CountedLayer, FitAt, Layout, MemoryAt, ModelMemory


def document(answers: Sequence[Budgets]) -> str:
    """One JSON document: the model, and its other layouts."""
    run = answers[0].budgets[0].deployment
    return kinds.text(
        ModelMemory(
            units={"memory": "B", "parameters": "numbers"},
            weights=run.weights,
            cache=run.cache,
            chunk=run.chunk,
            training=run.training,
            limit=answers[0].limit,
            layouts=tuple(map(_layout, answers)),
        )
    )


def _layout(answer: Budgets) -> Layout:
    model, counts = answer.model, answer.model.distinct()
    indices = {layer: index for index, layer in enumerate(counts)}
    return Layout(
        name=model.name,
        family=model.family,
        dim=model.dim,
        vocab=model.vocab,
        dtype=model.dtype,
        context=model.context,
        parameters=model.parameters,
        embedding=model.embedding,
        head=model.head,
        tied=model.tied,
        other=model.other,
        layers=tuple(CountedLayer(**asdict(layer), count=n) for layer, n in counts.items()),
        order=tuple(indices[replace(layer, repeated=False)] for layer in model.layers),
        notes=model.notes,
        budgets=tuple(map(_budget, answer.budgets)),
        fits=tuple(FitAt(batch=f.batch, context=f.context, paged=f.paged) for f in answer.fits),
    )


def _budget(budget: Budget) -> MemoryAt:
    return MemoryAt(
        context=budget.deployment.context,
        batch=budget.deployment.batch,
        lines=budget.memory.lines,
        total=budget.memory.total,
        allocated=budget.memory.allocated,
        page=budget.memory.page,
    )
