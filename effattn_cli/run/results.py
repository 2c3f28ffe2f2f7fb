"""Enters what a job told into the record of its cell. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from effattn_cli.machine import Gpu
from effattn_cli.records import Cost, Failure, Memory, Record, Round, Usage


def counted(record: Record, told: Mapping[str, Any], memory_limit: int) -> Record:
    """After counting: what the cell costs and needs; it fails at once if it cannot fit."""
    if "failure" in told:
        reason, message = told["failure"]["reason"], told["failure"]["message"]
        if reason == "unsupported":
            return replace(record, failure=Failure(reason=reason, message=message))
        return warned(record, f"its cost could not be counted: {message}")
    cost = Cost(**told["cost"])
    needs = told["needs"] + cost.peak_bytes
    record = replace(record, cost=cost, needs_bytes=needs)
    if needs > memory_limit:
        message = f"would need {_size(needs)}, the limit is {_size(memory_limit)}"
        return replace(record, failure=Failure(reason="out-of-memory", message=message))
    return record


def visited(record: Record, told: Mapping[str, Any] | Failure) -> Record:
    """After a visit: its memory, one more round, or why there is neither."""
    if isinstance(told, Failure):
        return replace(record, failure=told)
    if "memory" in told:
        return replace(
            record,
            memory=Memory(**told["memory"]),
            masked_flops=told["masked_flops"],
            usage=Usage(**told["usage"]) if "usage" in told else None,
            kernels=tuple(told["kernels"]),
            warnings=(*record.warnings, *told["warnings"]),
        )
    return replace(record, rounds=(*record.rounds, _round(told["round"])))


def retried(record: Record, place: int, told: Mapping[str, Any] | Failure) -> Record:
    """After a second visit for a round: the one in which the machine was faster counts, whatever
    the cell took; the samples of the other are kept apart. One that failed takes nothing away from
    the rounds that did not.
    """
    if isinstance(told, Failure):
        why = told.message or told.reason
        return warned(record, f"a second visit for round {place + 1} failed: {why}")
    rounds = list(record.rounds)
    first, again = rounds[place], _round(told["round"])
    better = (again.calibration or 0.0) < (first.calibration or 0.0)
    rounds[place] = again.instead_of(first) if better else first.instead_of(again)
    return replace(record, rounds=tuple(rounds))


def _round(told: Mapping[str, Any]) -> Round:
    lists = {name: tuple(told[name]) for name in ("samples", "contended") if name in told}
    gpu = told.get("gpu")
    if gpu is not None:
        gpu = Gpu(**(gpu | {"brakes": tuple(gpu["brakes"])}))
    return Round(**{**told, **lists, "gpu": gpu})


def warned(record: Record, text: str) -> Record:
    return replace(record, warnings=(*record.warnings, text))


def _size(size: int) -> str:
    unit, name = (2**30, "GiB") if size >= 2**30 else (2**20, "MiB")
    return f"{size / unit:.3g} {name}" if size < 1000 * unit else f"{size / unit:.0f} {name}"
