"""What `effattn choose --model --json` prints."""

import json
from typing import Any

from effattn_cli.analysis.model_choice import Option
from effattn_cli.app.model_choosing import Answer
from effattn_cli.estimate import Estimate


def document(answer: Answer) -> str:
    """One JSON document: seconds, bytes, tokens; nothing is rounded."""
    asked = answer.question
    best = answer.best
    document = {
        "effattn_model_choice": 1,
        "units": {"memory": "B", "prefill": "s", "tokens_per_second": "1/s"},
        "model": asked.model.name,
        "context": asked.deployment.context,
        "batch": asked.deployment.batch,
        "limits": {
            "memory": asked.limits.memory,
            "prefill": asked.limits.prefill,
            "tokens_per_second": asked.limits.tokens_per_second,
            "confidence": asked.limits.confidence,
        },
        "machine": answer.machine,
        "setting": answer.setting.values() if answer.setting is not None else None,
        "best": best.layout.name if best is not None else None,
        "layouts": [*map(_option, answer.options)],
    }
    return json.dumps(document, indent=1)


def _option(option: Option) -> dict[str, Any]:
    return {
        "layout": option.layout.name,
        "swap": option.layout.swap,
        "kept": option.layout.kept,
        "weights": option.layout.deployment.weights,
        "memory": {**option.memory.lines, "total": option.memory.total},
        "allocated": option.memory.allocated,
        "prefill": _estimate(option.prefill),
        "token": _estimate(option.token),
        "tokens_per_second": option.rate,
        "longest": option.longest,
        "chances": dict(option.chances),
        "chance": option.chance,
        "fits": option.fits,
    }


def _estimate(estimate: Estimate | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    return {
        "seconds": estimate.value, "low": estimate.low, "high": estimate.high,
        "basis": estimate.basis,
    }  # fmt: skip
