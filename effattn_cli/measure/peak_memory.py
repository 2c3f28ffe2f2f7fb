"""Peak memory of one call, beyond the inputs, weights and state that exist before it.

On a CPU: the highest running sum of the profiler's allocation records, cross-checked if the system
allows it with the peak of the resident size. On an accelerator: the allocator's own peak, and the
memory that the allocator took from the driver during the call, as the driver reports it.
"""

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.autograd.profiler import (  # torch.profiler's imports inductor: a second per cell
    profile,
    record_function,
)

from effattn_cli import engines
from effattn_cli.attention import Layer
from effattn_cli.devices import nvml
from effattn_cli.host import heap, resident
from effattn_cli.measure import engine_equality
from effattn_cli.measure.masked_work import Masked
from effattn_cli.measure.output_check import check
from effattn_cli.measure.workload import Subject, build
from effattn_cli.records import RESIDENT, Cell, Memory, Preparation, Sampling

CALL = "effattn: a call"  # marks where one starts
LONG = 1.0  # seconds; longer calls are not repeated for warming up or as a cross-check


@dataclass(frozen=True)
class Watched:
    """What was observed in watched calls."""

    memory: Memory
    events: list[Any]  # from the profiler
    masked_flops: int | None
    warnings: tuple[str, ...] = ()
    preparation: Preparation | None = None


def measure(
    variant: type[Layer], cell: Cell, sampling: Sampling, expected: float | None = None
) -> Watched:
    """Measures the cell's memory, in watched calls.

    On a CPU a call that is `expected` to take longer than `LONG` seconds runs once, not three
    times. On an accelerator the first call allocates library workspaces that stay.
    """
    heap.return_freed_memory()
    engine = engines.load(cell.setting.engine)
    subject = build(variant, cell, seed=sampling.seed, watched=True)
    first = _First()
    long = (
        cell.setting.device == "cpu" and cell.setting.phase != "train" and (expected or 0.0) >= LONG
    )
    if not engine.RUNS_EAGERLY:
        eager = build(variant, cell, seed=sampling.seed, eager=True)
        engine_equality.check(subject, eager, cell)
        del eager  # before memory is measured
    elif not long:
        first = _first(subject, cell)
    watch = _on_cpu if cell.setting.device == "cpu" else _on_accelerator
    if engine.STATIC:
        watch = _by_system
    seen = watch(subject, cell)
    check(seen.out, cell, subject.width)
    memory = Memory(
        peak_bytes=seen.peak_bytes,
        input_bytes=_bytes(subject.inputs),
        weight_bytes=_bytes(subject.weights),
        state_bytes=_bytes(subject.state),
        saved_bytes=first.saved_bytes,
        method=seen.method,
        resident_bytes=seen.resident_bytes,
        call_seconds=round(seen.seconds, 9),
    )
    return Watched(memory, seen.events, first.masked_flops, first.warnings, subject.preparation)


@dataclass(frozen=True)
class _First:
    """What was observed in the first call."""

    saved_bytes: int = 0
    masked_flops: int | None = None
    warnings: tuple[str, ...] = ()


def _first(subject: Subject, cell: Cell) -> _First:
    """A call under modes that see every operator, or without them if they fail."""
    saved: dict[int, int] = {}
    try:
        with _noting(saved), Masked() as masked:
            for _ in range(subject.steps):
                out = subject.call()
    except Exception as error:  # noqa: BLE001  of the modes; the variant's own occurs again
        if "torch._dynamo" in sys.modules:  # it remembers what it gave up on
            torch._dynamo.reset()
        out = subject.call()
        why = str(error).partition("\n")[0][:200] or type(error).__name__
        warning = f"what masks throw away and a backward keeps is not known: {why}"
        check(out, cell, subject.width)
        return _First(warnings=(warning,))
    check(out, cell, subject.width)
    for tensor in subject.tensors:
        saved.pop(tensor.untyped_storage().data_ptr(), None)
    return _First(sum(saved.values()), masked.flops // subject.steps)


def _noting(saved: dict[int, int]) -> "saved_tensors_hooks":
    """Records what the forward saves for the backward: bytes, by address."""

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    return saved_tensors_hooks(note, lambda tensor: tensor)


@dataclass(frozen=True)
class _Seen:
    """What was observed in one watched call."""

    out: Tensor
    seconds: float
    peak_bytes: int
    resident_bytes: int | None
    events: list[Any]
    method: str


def _on_cpu(subject: Subject, cell: Cell) -> _Seen:  # noqa: ARG001
    with profile(use_kineto=True, profile_memory=True) as recorded:
        started = time.perf_counter()
        for _ in range(subject.steps):
            with record_function(CALL):
                out = subject.call()
        seconds = (time.perf_counter() - started) / subject.steps
    events = list(recorded.kineto_results.events())
    seen = None if seconds > LONG else _resident(subject)
    return _Seen(out, seconds, _highest(events), seen, events, "allocation records")


def _highest(events: Iterable[Any]) -> int:
    """The highest running sum of the allocation records, starting from zero at each call."""
    records = [
        (event.start_ns(), event.nbytes() if event.name() == "[memory]" else None)
        for event in events
        if event.name() in {"[memory]", CALL}
    ]
    live = peak = 0
    for _, size in sorted(records, key=lambda record: record[0]):
        live = 0 if size is None else live + size
        peak = max(peak, live)
    return peak


def _resident(subject: Subject) -> int | None:
    """The peak as the system saw it; None if it does not track one."""
    growth, how = resident.growth(subject.call, subject.steps)
    return growth if how == resident.MARK else None


def _by_system(subject: Subject, cell: Cell) -> _Seen:  # noqa: ARG001
    """For an engine with its own memory, which torch does not see: the growth of the process during
    the call, plus the output, which is allocated beforehand.
    """
    started = time.perf_counter()
    out = subject.call()
    seconds = time.perf_counter() - started
    growth, how = resident.growth(subject.call, subject.steps)
    peak = growth + out.nbytes
    return _Seen(out, seconds, peak, peak, [], f"{RESIDENT}, no arena, {how}")


def _on_accelerator(subject: Subject, cell: Cell) -> _Seen:
    torch.accelerator.empty_cache()
    torch.accelerator.synchronize()
    held = nvml.resident(cell.setting.device)
    peak, started = 0, time.perf_counter()
    for _ in range(subject.steps):
        torch.accelerator.reset_peak_memory_stats()
        before = torch.accelerator.memory_allocated()
        out = subject.call()
        torch.accelerator.synchronize()
        peak = max(peak, torch.accelerator.max_memory_allocated() - before)
    seconds = (time.perf_counter() - started) / subject.steps
    holds = nvml.resident(cell.setting.device)  # the allocator keeps the memory it took
    taken = None if held is None or holds is None else max(0, holds - held)
    with profile(use_kineto=True, use_device=torch.device(cell.setting.device).type) as recorded:
        subject.call()
        torch.accelerator.synchronize()
    events = list(recorded.kineto_results.events())
    return _Seen(out, seconds, peak, taken, events, "allocator peak")


def _bytes(tensors: Iterable[Tensor]) -> int:
    storages = {tensor.untyped_storage().data_ptr(): tensor for tensor in tensors}
    return sum(tensor.untyped_storage().nbytes() for tensor in storages.values())
