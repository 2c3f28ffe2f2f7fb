"""What a forked process does: one job, its answers as plain dictionaries, then the end."""

import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from effattn_cli import catalog
from effattn_cli.attention import Attention
from effattn_cli.errors import EffattnError, Unsupported
from effattn_cli.measure import latency, machine, memory, probe
from effattn_cli.measure.count import count
from effattn_cli.records import Cell, Reason, Sampling

Answer = Callable[[dict[str, Any]], None]


def run(job: str, payload: dict[str, Any], answer: Answer) -> int:
    """Runs the job and gives its exit code; whatever it raises becomes an answer."""
    try:
        JOBS[job](payload, answer)
    except (Exception, SystemExit) as error:  # noqa: BLE001  a plugin may raise anything
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
    if isinstance(error, memory.NotFinite):
        return "not-finite"
    if isinstance(error, memory.WrongShape):
        return "wrong-shape"
    full = ("can't allocate memory", "out of memory", "not enough memory")
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
        except (Exception, SystemExit) as error:  # noqa: BLE001
            answer({"failure": describe(error)})


def _memory(payload: dict[str, Any], answer: Answer) -> None:
    cell = Cell(**payload["cell"])
    _prepare(cell)
    measured, kernels = memory.measure(
        _variant(payload), cell, Sampling(**payload["sampling"]), payload["expected"]
    )
    answer({"memory": asdict(measured), "kernels": kernels})


def _latency(payload: dict[str, Any], answer: Answer) -> None:
    cell = Cell(**payload["cell"])
    _prepare(cell)
    sampled = latency.measure(_variant(payload), cell, Sampling(**payload["sampling"]))
    answer({"round": asdict(sampled)})


def _machine(payload: dict[str, Any], answer: Answer) -> None:
    devices = machine.resolve(payload["device"])
    answer({"machine": asdict(machine.fingerprint(devices[0])), "devices": devices})


def _probe(payload: dict[str, Any], answer: Answer) -> None:
    for item in payload["cells"]:
        cell = Cell(**item)
        _prepare(cell)
        answer({"probe": asdict(probe.measure(cell.device, cell.dtype))})


def _prepare(cell: Cell) -> None:
    torch.set_num_threads(cell.threads)


def _variant(payload: dict[str, Any]) -> type[Attention]:
    path = payload["path"]
    return catalog.load(payload["cell"]["variant"], None if path is None else Path(path))


JOBS: dict[str, Callable[[dict[str, Any], Answer], None]] = {
    "count": _count,
    "memory": _memory,
    "latency": _latency,
    "machine": _machine,
    "probe": _probe,
    "nothing": lambda _, answer: answer({"pid": os.getpid()}),
    "sleep": lambda _, __: time.sleep(3600),
}
