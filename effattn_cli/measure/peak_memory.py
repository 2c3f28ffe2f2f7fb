"""Peak memory of one call, beyond the inputs, weights and state that were there before it.

On a CPU: the highest running sum of the profiler's allocation records, cross-checked where the
system allows by the peak of the resident size. On an accelerator: the allocator's own peak, beside
it what the call made the allocator take from the driver, as the driver says.
"""

import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.autograd.profiler import profile  # torch.profiler's imports inductor: a second a cell

from effattn_cli import engines
from effattn_cli.attention import Layer
from effattn_cli.devices import nvml
from effattn_cli.host import heap
from effattn_cli.measure.masked_work import Masked
from effattn_cli.measure.workload import Subject, build
from effattn_cli.records import Cell, Memory, Sampling

LONG = 1.0  # seconds; above it a call is not repeated for warming up or for a second opinion


class NotFinite(ArithmeticError):
    """The output holds NaN or infinity."""


class WrongShape(ValueError):
    """The output does not have the shape or dtype that the contract asks for."""


@dataclass(frozen=True)
class Watched:
    """What calls showed while they were watched."""

    memory: Memory
    events: list[Any]  # of the profiler
    masked_flops: int | None


def measure(
    variant: type[Layer], cell: Cell, sampling: Sampling, expected: float | None = None
) -> Watched:
    """The cell's memory, in calls that are watched.

    On a CPU a call that is `expected` to take longer than `LONG` seconds is made once, not three
    times. On an accelerator the first call brings libraries' workspaces that stay.
    """
    heap.return_freed_memory()
    subject = build(variant, cell, seed=sampling.seed)
    saved: dict[int, int] = {}
    masked = None
    long = (
        cell.setting.device == "cpu" and cell.setting.phase != "train" and (expected or 0.0) >= LONG
    )
    if not long:
        with ExitStack() as watching:
            if engines.load(cell.setting.engine).RUNS_EAGERLY:
                watching.enter_context(_noting(saved))
                masked = watching.enter_context(Masked())
            _check(subject.call(), cell, subject.width)
    for tensor in subject.tensors:
        saved.pop(tensor.untyped_storage().data_ptr(), None)
    watch = _on_cpu if cell.setting.device == "cpu" else _on_accelerator
    seen = watch(subject, cell)
    _check(seen.out, cell, subject.width)
    found = Memory(
        peak_bytes=seen.peak_bytes,
        input_bytes=_bytes(subject.inputs),
        weight_bytes=_bytes(subject.weights),
        state_bytes=_bytes(subject.state),
        saved_bytes=sum(saved.values()),
        method=seen.method,
        resident_bytes=seen.resident_bytes,
        call_seconds=round(seen.seconds, 9),
    )
    return Watched(found, seen.events, masked.flops if masked else None)


def _noting(saved: dict[int, int]) -> "saved_tensors_hooks":
    """Notes what the forward keeps for the backward: bytes, by where they are."""

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    return saved_tensors_hooks(note, lambda tensor: tensor)


@dataclass(frozen=True)
class _Seen:
    """What one watched call showed."""

    out: Tensor
    seconds: float
    peak_bytes: int
    resident_bytes: int | None
    events: list[Any]
    method: str


def _on_cpu(subject: Subject, _: Cell) -> _Seen:
    with profile(use_kineto=True, profile_memory=True) as recorded:
        started = time.perf_counter()
        out = subject.call()
        seconds = time.perf_counter() - started
    events = list(recorded.kineto_results.events())
    resident = None if seconds > LONG else _resident(subject)
    return _Seen(out, seconds, _highest(events), resident, events, "allocation records")


def _highest(events: Iterable[Any]) -> int:
    """The highest running sum of the allocation records, from zero at the start."""
    records = [(event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]"]
    live = peak = 0
    for _, size in sorted(records, key=lambda record: record[0]):
        live += size
        peak = max(peak, live)
    return peak


def _resident(subject: Subject) -> int | None:
    """The peak as the system saw it; None where it keeps no such mark."""
    if not heap.reset_resident_peak():
        return None
    before = heap.resident()
    subject.call()
    return max(0, heap.resident_peak() - before)


def _on_accelerator(subject: Subject, cell: Cell) -> _Seen:
    torch.accelerator.empty_cache()
    torch.accelerator.reset_peak_memory_stats()
    before = torch.accelerator.memory_allocated()
    torch.accelerator.synchronize()
    held = nvml.resident(cell.setting.device)
    started = time.perf_counter()
    out = subject.call()
    torch.accelerator.synchronize()
    seconds = time.perf_counter() - started
    peak = torch.accelerator.max_memory_allocated() - before
    holds = nvml.resident(cell.setting.device)  # the allocator keeps what it took
    taken = None if held is None or holds is None else max(0, holds - held)
    with profile(use_kineto=True, use_device=torch.device(cell.setting.device).type) as recorded:
        subject.call()
        torch.accelerator.synchronize()
    events = list(recorded.kineto_results.events())
    return _Seen(out, seconds, peak, taken, events, "allocator peak")


def _check(out: Tensor, cell: Cell, width: int) -> None:
    if not isinstance(out, Tensor) or out.shape[0] != cell.setting.batch or out.shape[-1] != width:
        got = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise WrongShape(f"the output is {got}, expected ({cell.setting.batch}, ..., {width})")
    if not out.isfinite().all():
        raise NotFinite("the output holds NaN or infinity")


def _bytes(tensors: Iterable[Tensor]) -> int:
    storages = {tensor.untyped_storage().data_ptr(): tensor for tensor in tensors}
    return sum(tensor.untyped_storage().nbytes() for tensor in storages.values())
