"""Records made by hand, with latencies and peaks that a test can state."""

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from effattn_cli.cards import Card, Kind, Option, Variant
from effattn_cli.evaluation import Evaluation, Evidence, Fidelity
from effattn_cli.machine import Machine
from effattn_cli.records import (
    Cell,
    Cost,
    Failure,
    Memory,
    Prediction,
    Profile,
    Reason,
    Record,
    Run,
    Sampling,
)
from effattn_cli.setting import Setting

MIB = 2**20
MS = 1e-3
KINDS: dict[str, Kind] = {"sdpa": "exact", "linformer": "approximates softmax"}


def a_machine(**facts: Any) -> Machine:
    usual: dict[str, Any] = {
        "effattn": "0.1.0",
        "python": "3.11.9",
        "os": "Linux 6.8",
        "torch": "2.13.0",
        "torch_build": "cpu",
        "cpu": "a CPU",
        "cores": 2,
        "memory_bytes": 16 * 2**30,
        "load": 0.1,
    }
    return Machine(**(usual | facts))


def a_cell(label: str = "sdpa", seq: int = 1024, **axes: Any) -> Cell:
    """The cell of a label like `linformer:rank=64`, whose options are integers."""
    name, _, texts = label.partition(":")
    pairs = (text.partition("=") for text in texts.split(",") if text)
    options = {key: int(value) for key, _, value in pairs}
    setting = Setting(**({"threads": 2} | axes))
    return Cell(variant=name, options=options, seq=seq, setting=setting)


def a_run(
    seconds: float, *, spread: float = 0.0, count: int = 5, background_load: float | None = None
) -> Run:
    """A run whose samples lie evenly within `spread` on both sides of their median."""
    steps = [2 * place / max(1, count - 1) - 1 if count > 1 else 0.0 for place in range(count)]
    return Run(
        samples=tuple(seconds * (1 + spread * step) for step in steps),
        warmup=3,
        first_seconds=seconds,
        stopped="steady",
        background_load=background_load,
    )


def a_cost(flops: int = 10**9, peak_bytes: int = 4 * MIB) -> Cost:
    return Cost(
        matmul_flops=flops,
        other_flops=0,
        transcendentals=0,
        read_bytes=8 * MIB,
        write_bytes=4 * MIB,
        peak_bytes=peak_bytes,
    )


def a_memory(peak_bytes: int, *, state_bytes: int = 0) -> Memory:
    return Memory(
        peak_bytes=peak_bytes,
        input_bytes=6 * MIB,
        weight_bytes=0,
        state_bytes=state_bytes,
        method="by hand",
    )


def measured(
    cell: Cell,
    seconds: float | Iterable[float],
    peak_bytes: int = 4 * MIB,
    *,
    spread: float = 0.01,
    count: int = 5,
    flops: int = 10**9,
    background_load: float | None = None,
    state_bytes: int = 0,
) -> Record:
    """A record of a run for each of `seconds`, or of three alike."""
    medians = [seconds] * 3 if isinstance(seconds, float | int) else list(seconds)
    return Record(
        cell=cell,
        cost=a_cost(flops, peak_bytes),
        memory=a_memory(peak_bytes, state_bytes=state_bytes),
        runs=tuple(
            a_run(each, spread=spread, count=count, background_load=background_load)
            for each in medians
        ),
    )


def drawing(record: Record, *joules: float | None) -> Record:
    """The record with so many joules a call, one for each of its runs."""
    pairs = zip(record.runs, joules, strict=True)
    return replace(record, runs=tuple(replace(part, joules=drawn) for part, drawn in pairs))


def predicted(
    cell: Cell,
    seconds: float,
    peak_bytes: int | None = 4 * MIB,
    *,
    band: float = 0.25,
    anchor_seq: int = 1024,
    why: str = "over the time limit of 30 s",
) -> Record:
    return Record(
        cell=cell,
        cost=a_cost(),
        prediction=Prediction(
            seconds=seconds,
            low=seconds * (1 - band),
            high=seconds * (1 + band),
            peak_bytes=peak_bytes,
            anchor_seq=anchor_seq,
            why=why,
        ),
    )


def failed(cell: Cell, reason: Reason = "out-of-memory", message: str = "") -> Record:
    return Record(cell=cell, failure=Failure(reason=reason, message=message))


def pending(cell: Cell) -> Record:
    return Record(cell=cell, cost=a_cost())


def a_card(kind: Kind = "own mechanism", **facts: Any) -> Card:
    usual: dict[str, Any] = {
        "title": "A Variant",
        "families": ("low-rank",),
        "paper": "arXiv:2006.04768",
        "year": 2020,
        "time": "N k",
        "memory": "N",
        "causal": "optional",
        "kind": kind,
    }
    return Card(**(usual | facts))


def a_variant(
    name: str, *, card: Card | None = None, options: tuple[Option, ...] = (), **facts: Any
) -> Variant:
    usual: dict[str, Any] = {
        "name": name,
        "summary": f"What {name} does.",
        "card": card or a_card(KINDS.get(name, "own mechanism")),
        "decode": False,
        "options": options,
        "origin": "bundled",
        "path": f"variants/{name.replace('-', '_')}.py",
        "code": "0123456789ab",
    }
    return Variant(**(usual | facts))


def a_profile(*records: Record, baseline: str | None = "sdpa", **facts: Any) -> Profile:
    """A finished profile of `records`, with a card for each variant in it."""
    names = dict.fromkeys(record.cell.variant for record in records)
    usual: dict[str, Any] = {
        "created": "2026-01-02T03:04:05+00:00",
        "command": "effattn profile",
        "machine": a_machine(),
        "sampling": Sampling(),
        "baseline": baseline,
        "variants": {name: a_variant(name) for name in names},
        "records": records,
        "finished": True,
    }
    return Profile(**(usual | facts))


def an_evaluation(*records: Evidence, **facts: Any) -> Evaluation:
    usual: dict[str, Any] = {
        "created": "2026-01-02T03:04:05+00:00",
        "command": "effattn evaluate",
        "machine": a_machine(),
        "variants": {name: a_variant(name) for name in {r.cell.variant: 0 for r in records}},
    }
    return Evaluation(records=records, **(usual | facts))


def faithful(
    cell: Cell, error: float, regime: str = "isotropic-0.5", *, heads: int = 2, **more: Any
) -> Evidence:
    """Evidence of heads, an even number, whose errors lie a tenth on both sides of `error`."""
    found = Fidelity(
        regime=regime,
        draws=1,
        errors=(0.9 * error, 1.1 * error) * (heads // 2),
        cosines=(0.9, 0.8),
        overlaps=(0.5, 0.7),
        entropies=(0.5, 0.5),
    )
    return Evidence(cell=cell, fidelity=(found,), **more)
