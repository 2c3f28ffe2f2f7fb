"""What a forked process does: one job, its answers as plain dictionaries, then the end."""

import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import Layer
from effattn_cli.devices import energy, fingerprint
from effattn_cli.errors import EffattnError, Unsupported
from effattn_cli.host import heap
from effattn_cli.measure import ceilings, dispatched_kernels, expert_usage, latency, peak_memory
from effattn_cli.measure.counting import count
from effattn_cli.records import Cell, Reason, Sampling

Answer = Callable[[dict[str, Any]], None]


def prepare() -> None:
    """What every job would do again, done once in the server. It runs no operator."""
    torch.get_default_device()  # the first time it imports
    catalog.installed()
    energy.prepare()


def run(job: str, payload: dict[str, Any], answer: Answer) -> int:
    """Runs the job and gives its exit code; whatever it raises becomes an answer."""
    try:
        JOBS[job](payload, answer)
    except BaseException as error:  # noqa: BLE001  a plugin may raise anything
        answer({"failure": describe(error)})
    return 0


def describe(error: BaseException) -> dict[str, Any]:
    """A Failure's fields for an exception."""
    name, text = type(error).__name__, str(error) or "no message"
    where = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(where[-1].filename).name}:{where[-1].lineno})" if where else ""
    if isinstance(error, EffattnError):
        return {"reason": _reason(error), "message": text, "hint": error.hint}
    traceback.print_exception(error, file=sys.stderr)
    return {"reason": _reason(error), "message": f"{name}: {text.splitlines()[0][:300]}{place}"}


def _reason(error: BaseException) -> Reason:
    if isinstance(error, Unsupported):
        return "unsupported"
    if isinstance(error, peak_memory.NotFinite):
        return "not-finite"
    if isinstance(error, peak_memory.WrongShape):
        return "wrong-shape"
    full = ("can't allocate memory", "out of memory", "not enough memory", "ALLOC_FAILED")
    exhausted = isinstance(error, MemoryError | torch.OutOfMemoryError)
    if exhausted or any(text in str(error) for text in full):
        return "out-of-memory"
    return "raised"


def _count(payload: dict[str, Any], answer: Answer) -> None:
    """The cost of every cell, an answer each, in order; a cell that fails fails alone."""
    for item in payload["cells"]:
        try:
            cell = Cell(**item["cell"])
            counted = count(_variant(item), cell)
            answer({"cost": asdict(counted.cost), "needs": counted.resident_bytes})
        except BaseException as error:  # noqa: BLE001
            answer({"failure": describe(error)})


def _memory(payload: dict[str, Any], answer: Answer) -> None:
    cell = Cell(**payload["cell"])
    with _prepared(cell, payload.get("device_memory")):
        variant, sampling = _variant(payload), Sampling(**payload["sampling"])
        watched = peak_memory.measure(variant, cell, sampling, payload["expected"])
        used = expert_usage.measure(variant, cell, sampling)
    kernels = dispatched_kernels.kernels(watched.events)
    found: dict[str, Any] = {"memory": asdict(watched.memory), "kernels": kernels}
    found["masked_flops"] = watched.masked_flops
    found["warnings"] = dispatched_kernels.warnings(cell, kernels)
    answer(found | ({"usage": asdict(used)} if used else {}))


def _latency(payload: dict[str, Any], answer: Answer) -> None:
    cell = Cell(**payload["cell"])
    with _prepared(cell, payload.get("device_memory")):
        sampled = latency.measure(_variant(payload), cell, Sampling(**payload["sampling"]))
    answer({"round": asdict(sampled)})


def _machine(payload: dict[str, Any], answer: Answer) -> None:
    devices = fingerprint.resolve(payload["device"])
    first = next((device for device in devices if device != "cpu"), "cpu")
    answer({"machine": asdict(fingerprint.fingerprint(first)), "devices": devices})


def _roofline(payload: dict[str, Any], answer: Answer) -> None:
    _settle(payload["device"], payload["threads"])
    heap.retain_heap()
    answer({"roofline": asdict(ceilings.measure(**payload))})


def _laws(_: dict[str, Any], answer: Answer) -> None:
    answer({"laws": list(laws.LAWS)})


def _check(payload: dict[str, Any], answer: Answer) -> None:
    """Whether the variant keeps one law; "loading" stands for being there at all."""
    with _unchanged():
        variant, law = _variant(payload), payload["law"]
        told = _loaded(variant) if law == "loading" else _kept(variant, law)
    answer(told)


def _loaded(variant: type[Layer]) -> dict[str, Any]:
    wrong = sorted(set(variant.card.exempt) - set(laws.LAWS))
    return {"broken": f"the card exempts it from {wrong[0]!r}, which is no law"} if wrong else {}


def _kept(variant: type[Layer], law: str) -> dict[str, Any]:
    why = variant.card.exempt.get(law)
    try:
        skipped = laws.LAWS[law](variant)
    except laws.Broken as error:
        return {"skipped": f"exempt: {why}"} if why else {"broken": str(error)}
    if skipped:
        return {"skipped": skipped}
    return {"broken": "it holds, so the card should not exempt it"} if why else {}


def _settle(device: str, threads: int) -> torch.device:
    """Events are of the current device, whatever else is named."""
    torch.set_num_threads(threads)
    place = torch.device(device)
    if place.index is not None:
        torch.accelerator.set_device_index(place.index)
    return place


@contextlib.contextmanager
def _prepared(cell: Cell, device_memory: int | None) -> Iterator[None]:
    """The process as the cell asks for it; on a GPU it may take so many bytes."""
    place = _settle(cell.device, cell.threads)
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


def _variant(payload: dict[str, Any]) -> type[Layer]:
    path = None if payload["path"] is None else Path(payload["path"])
    return catalog.load(payload["cell"]["variant"], path, kind=Layer)


JOBS: dict[str, Callable[[dict[str, Any], Answer], None]] = {
    "count": _count,
    "memory": _memory,
    "latency": _latency,
    "machine": _machine,
    "roofline": _roofline,
    "laws": _laws,
    "check": _check,
    "nothing": lambda _, answer: answer({"pid": os.getpid()}),
}
