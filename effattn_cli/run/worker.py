"""What a forked process does: one request, its answers, then the end."""

import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import Layer
from effattn_cli.cards import unmet
from effattn_cli.devices import energy, fingerprint
from effattn_cli.errors import EffattnError, Unsupported
from effattn_cli.evaluate import fidelity, training
from effattn_cli.evaluate.task_specs import TASKS
from effattn_cli.host import heap
from effattn_cli.measure import (
    ceilings,
    dispatched_kernels,
    engine_equality,
    expert_usage,
    graph_file,
    latency,
    output_check,
    peak_memory,
)
from effattn_cli.measure.counting import count
from effattn_cli.records import Reason
from effattn_cli.run import jobs
from effattn_cli.run.jobs import Problem, Refusal
from effattn_cli.setting import Setting

Answer = Callable[[Any], None]


def prepare() -> None:
    """What every job would do again, done once in the server. It runs no operator."""
    torch.get_default_device()  # the first time it imports
    catalog.installed()
    energy.prepare()


def run(request: jobs.Request, answer: Answer) -> int:
    """Answers the request and gives the exit code; whatever is raised becomes an answer."""
    try:
        HANDLERS[type(request)](request, answer)
    except BaseException as error:  # noqa: BLE001  a plugin may raise anything
        answer(Refusal(problem=problem(error)))
    return 0


def problem(error: BaseException) -> Problem:
    """What an exception means for a cell."""
    name, text = type(error).__name__, _unicode(str(error)) or "no message"
    where = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(where[-1].filename).name}:{where[-1].lineno})" if where else ""
    if isinstance(error, EffattnError):
        return Problem(reason=_reason(error), message=text, hint=error.hint)
    traceback.print_exception(error, file=sys.stderr)
    first = text.splitlines()[0][:300]
    return Problem(reason=_reason(error), message=_unicode(f"{name}: {first}{place}"))


def _unicode(text: str) -> str:
    """Without what is no Unicode: a message has to be encoded."""
    return text.encode(errors="replace").decode()


def _reason(error: BaseException) -> Reason:
    if isinstance(error, Unsupported):
        return "unsupported"
    if isinstance(error, output_check.NotFinite):
        return "not-finite"
    if isinstance(error, engine_equality.NotEqual):
        return "not-equal"
    if isinstance(error, output_check.WrongShape):
        return "wrong-shape"
    full = ("can't allocate memory", "out of memory", "not enough memory", "ALLOC_FAILED")
    exhausted = isinstance(error, MemoryError | torch.OutOfMemoryError)
    if exhausted or any(text in str(error) for text in full):
        return "out-of-memory"
    return "raised"


def _count(request: jobs.CountCost, answer: Answer) -> None:
    """A cell that fails fails alone."""
    for task in request.tasks:
        try:
            counted = count(_variant(task), task.cell)
            answer(jobs.Counted(cost=counted.cost, resident_bytes=counted.resident_bytes))
        except BaseException as error:  # noqa: BLE001
            answer(Refusal(problem=problem(error)))


def _watch(request: jobs.MeasureMemory, answer: Answer) -> None:
    cell = request.task.cell
    with _prepared(cell.setting, request.device_memory):
        variant = _variant(request.task)
        watched = peak_memory.measure(variant, cell, request.sampling, request.expected)
        usage = expert_usage.measure(variant, cell, request.sampling)
    kernels = dispatched_kernels.kernels(watched.events)
    answer(
        jobs.Watched(
            memory=watched.memory,
            kernels=kernels,
            masked_flops=watched.masked_flops,
            usage=usage,
            preparation=watched.preparation,
            warnings=(*watched.warnings, *dispatched_kernels.warnings(cell, kernels)),
        )
    )


def _time(request: jobs.MeasureLatency, answer: Answer) -> None:
    cell = request.task.cell
    with _prepared(cell.setting, request.device_memory):
        run = latency.measure(_variant(request.task), cell, request.sampling)
    answer(jobs.Timed(run=run))


def _describe(request: jobs.DescribeMachine, answer: Answer) -> None:
    devices = fingerprint.resolve(request.device)
    first = next((device for device in devices if device != "cpu"), "cpu")
    machine = fingerprint.fingerprint(first, request.engines)
    answer(jobs.Described(machine=machine, devices=tuple(devices)))


def _roofline(request: jobs.MeasureRoofline, answer: Answer) -> None:
    _settle(request.device, request.threads)
    heap.retain_heap()
    answer(ceilings.measure(request.device, request.dtype, request.threads))


def _laws(_: jobs.ListLaws, answer: Answer) -> None:
    answer(jobs.Laws(names=tuple(laws.LAWS)))


def _check(request: jobs.CheckLaw, answer: Answer) -> None:
    """Whether the variant keeps one law; "loading" stands for being there at all."""
    with _unchanged():
        variant = _loaded(request.variant, request.plugin)
        variant = laws.with_options(variant, request.options)
        verdict = _exemptions(variant) if request.law == "loading" else _kept(variant, request.law)
    answer(verdict)


def _exemptions(variant: type[Layer]) -> jobs.Checked:
    wrong = sorted(set(variant.card.exempt) - set(laws.LAWS))
    if wrong:
        return jobs.Checked(broken=f"the card exempts it from {wrong[0]!r}, which is not a law")
    return jobs.Checked()


def _kept(variant: type[Layer], law: str) -> jobs.Checked:
    why = variant.card.exempt.get(law)
    missing = unmet(variant.card, "cpu")
    if missing is not None:
        return jobs.Checked(skipped=missing)
    try:
        skipped = laws.LAWS[law](variant)
    except laws.Broken as error:
        if why:
            return jobs.Checked(skipped=f"exempt: {why}")
        return jobs.Checked(broken=_unicode(str(error)))
    if skipped:
        return jobs.Checked(skipped=skipped)
    needless = "the variant keeps this law; remove the exemption from its card" if why else None
    return jobs.Checked(broken=needless)


def _compare(request: jobs.MeasureFidelity, answer: Answer) -> None:
    cell = request.task.cell
    with _prepared(cell.setting, None):
        variant = _variant(request.task)
        result = fidelity.measure(
            variant, cell, request.wanted, seed=request.seed, file=request.file
        )
        kept = fidelity.state_bytes(variant, cell)
    answer(jobs.Compared(fidelity=result, state_bytes=kept))


def _train(request: jobs.TrainTiny, answer: Answer) -> None:
    cell = request.task.cell
    with _prepared(cell.setting, None):
        variant = _variant(request.task)
        result = training.train(TASKS[request.synthetic], variant, cell, request.wanted)
    answer(jobs.Trained(training=result, state_bytes=training.state_bytes(variant, cell)))


def _write(request: jobs.WriteGraph, answer: Answer) -> None:
    cell = request.task.cell
    with _prepared(cell.setting, None):
        inputs, outputs = graph_file.write(
            _variant(request.task), cell, Path(request.path), seed=request.seed
        )
    ports = [
        tuple(jobs.Port(name=name, dtype=dtype, shape=shape) for name, dtype, shape in side)
        for side in (inputs, outputs)
    ]
    answer(jobs.Written(inputs=ports[0], outputs=ports[1]))


def _settle(device: str, threads: int) -> torch.device:
    """Events are of the current device, whatever else is named."""
    torch.set_num_threads(threads)
    place = torch.device(device)
    if place.index is not None:
        torch.accelerator.set_device_index(place.index)
    return place


@contextlib.contextmanager
def _prepared(setting: Setting, device_memory: int | None) -> Iterator[None]:
    """The process as the setting asks for it; on a GPU it may take so many bytes."""
    place = _settle(setting.device, setting.threads)
    if device_memory is not None and place.type == "cuda":
        total = torch.cuda.get_device_properties(place).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, device_memory / total))
    with _unchanged():
        yield


@contextlib.contextmanager
def _unchanged() -> Iterator[None]:
    """What is found out inside is worth nothing if the plugin changes torch's global state."""
    before = _state()
    yield
    now = _state()
    changed = [
        f"{what} from {before[what]} to {now[what]}" for what in now if now[what] != before[what]
    ]
    if changed:
        raise catalog.BrokenPlugin(f"it changed torch for the whole process: {', '.join(changed)}")


def _state() -> dict[str, object]:
    return {
        "the threads": torch.get_num_threads(),
        "the default dtype": torch.get_default_dtype(),
        "the default device": torch.get_default_device(),
        "the grad mode": torch.is_grad_enabled(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
    }


def _variant(task: jobs.Task) -> type[Layer]:
    return _loaded(task.cell.variant, task.plugin)


def _loaded(name: str, plugin: str | None) -> type[Layer]:
    return catalog.load(name, plugin, kind=Layer)


HANDLERS: dict[type, Callable[[Any, Answer], None]] = {
    jobs.CountCost: _count,
    jobs.MeasureMemory: _watch,
    jobs.MeasureLatency: _time,
    jobs.DescribeMachine: _describe,
    jobs.MeasureRoofline: _roofline,
    jobs.ListLaws: _laws,
    jobs.CheckLaw: _check,
    jobs.MeasureFidelity: _compare,
    jobs.TrainTiny: _train,
    jobs.WriteGraph: _write,
    jobs.Nothing: lambda _, answer: answer(jobs.Pid(pid=os.getpid())),
}
