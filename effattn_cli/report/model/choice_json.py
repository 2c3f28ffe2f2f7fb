"""What `effattn choose --model --json` prints."""

from typing import Any

from effattn_cli.analysis.model_choice import Option
from effattn_cli.analysis.selection.evidence import TASKS
from effattn_cli.app.model_choosing import Answer
from effattn_cli.estimate import Estimate
from effattn_cli.report.documents import kinds
from effattn_cli.report.documents.choices import Duration, LayoutAt, ModelChoice, ModelLimits


def document(answer: Answer) -> str:
    """One JSON document: seconds, bytes, tokens; nothing is rounded."""
    asked, best = answer.question, answer.best
    evidence: dict[str, Any] = {task: asked.limits.evidence.get(task) for task in TASKS}
    limits = ModelLimits(
        memory=asked.limits.memory,
        prefill=asked.limits.prefill,
        tokens_per_second=asked.limits.tokens_per_second,
        **evidence,
        confidence=asked.limits.confidence,
    )
    return kinds.text(
        ModelChoice(
            units={"memory": "B", "prefill": "s", "tokens_per_second": "1/s"},
            model=asked.model.name,
            context=asked.deployment.context,
            batch=asked.deployment.batch,
            limits=limits,
            machine=answer.machine,
            setting=answer.setting,
            best=best.layout.name if best is not None else None,
            layouts=tuple(map(_option, answer.options)),
        )
    )


def _option(option: Option) -> LayoutAt:
    return LayoutAt(
        layout=option.layout.name,
        swap=option.layout.swap,
        kept=option.layout.kept,
        weights=option.layout.deployment.weights,
        cache=option.layout.deployment.cache,
        memory={str(line): size for line, size in option.memory.lines.items()}
        | {"total": option.memory.total},
        allocated=option.memory.allocated,
        prefill=_estimate(option.prefill),
        token=_estimate(option.token),
        tokens_per_second=option.rate,
        longest=option.longest,
        probabilities=option.probabilities,
        probability=option.probability,
        fits=option.fits,
    )


def _estimate(estimate: Estimate | None) -> Duration | None:
    if estimate is None:
        return None
    return Duration(
        seconds=estimate.value, low=estimate.low, high=estimate.high, basis=estimate.basis
    )
