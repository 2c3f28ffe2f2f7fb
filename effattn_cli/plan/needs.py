"""What is asked of a variant, as it is typed: limits, what it must do, how sure it must be."""

from collections.abc import Mapping, Sequence
from typing import Any

from effattn_cli.analysis.selection.candidates import Requirements, Weights
from effattn_cli.analysis.selection.evidence import Task
from effattn_cli.analysis.selection.ordering import Preference
from effattn_cli.errors import UsageError
from effattn_cli.plan.budgets import limit
from effattn_cli.quantities import parse_share


def weights(*, keep: bool, trained: bool) -> Weights:
    """What becomes of a model's weights.

    Raises:
        UsageError: both were given.
    """
    if keep and trained:
        raise UsageError("--keep-weights and --trained are opposites", "give one of them")
    return "keep" if keep else "train" if trained else "any"


def share(confidence: str) -> float:
    """The required probability of meeting each limit.

    Raises:
        UsageError: it is no share, or out of range.
    """
    probability = parse_share(confidence, "--confidence")
    if not 0.5 <= probability <= 0.99:
        hint = "from 50%, the expected value, to 99%"
        raise UsageError(f"--confidence: {confidence} is out of range", hint)
    return probability


def requirements(
    limits: Mapping[str, str | None],
    setting: Mapping[str, Any],
    confidence: str,
    *,
    exact: bool,
    weights: Weights,
    fidelity: str | None = None,
    loads: Mapping[Task, int],
) -> Requirements:
    """`limits` are by resource; `setting` holds the values of the axes that were given. A limit of
    the error is one of what keeps the weights; `loads` are those that a tiny model has to learn.

    Raises:
        UsageError: a limit or the confidence cannot be read, or says nothing.
    """
    if fidelity is not None and weights == "train":
        hint = "--recall, --update and --parity ask what a tiny model learns with it"
        raise UsageError("--fidelity is of what keeps the weights, not of what is trained", hint)
    evidence: dict[Task, float] = {**loads}
    if fidelity is not None:
        evidence["fidelity"] = parse_share(fidelity, "--fidelity")
    return Requirements(
        limits=tuple(limit(resource, text) for resource, text in limits.items() if text),
        causal=bool(setting.get("causal")),
        decode=setting.get("phase") == "decode",
        padding=bool(setting.get("padding")),
        exact=exact,
        weights=weights if fidelity is None else "keep",
        evidence=evidence,
        confidence=share(confidence),
    )


def preference(given: Preference | None, prices: Sequence[str], seqs: Sequence[int]) -> Preference:
    """By what is ranked: with prices by cost, unless another order is given.

    Raises:
        UsageError: there is no price to rank by, or no length to rank at.
    """
    if given == "cost" and not prices:
        raise UsageError("--prefer cost needs prices", "--price MACHINE=0.53/h for each machine")
    if prices and not seqs:
        raise UsageError("--price ranks at a length, and none is given", "give --seq 32k")
    return given or ("cost" if prices else "quality")


def ask_something(required: Requirements, prefer: str, seqs: Sequence[int]) -> None:
    """Without a limit there is a best one by speed or by memory, at a length.

    Raises:
        UsageError: there is neither.
    """
    if required.limits:
        return
    if prefer == "quality" and not required.evidence:
        hint = "--latency 50ms, or --memory 2GiB; or --prefer speed, or memory, without one"
        raise UsageError("no budget given", hint)
    if not seqs:
        raise UsageError("without a limit there is no longest context", "give --seq 32k")


def refuse_for_models(given: Mapping[str, object]) -> None:
    """What is asked of one layer says nothing of a model.

    Raises:
        UsageError: one of them was given.
    """
    for name, value in given.items():
        if value:
            hint = "a model takes --memory, --prefill, --tokens-per-second; --replace names layouts"
            raise UsageError(f"--{name} applies to one layer, not to a whole model", hint)


def refuse_for_layers(given: Mapping[str, object]) -> None:
    """What is asked of a model says nothing of one layer.

    Raises:
        UsageError: one of them was given.
    """
    for name, value in given.items():
        if value:
            raise UsageError(f"--{name} applies to a whole model", "give --model, too")
