"""How a variant's FLOPs and peak memory grow from 4k to 16k tokens, counted once and kept.

Counting takes a second or two a variant, so what was counted is kept in the user's data folder for
as long as the variant's code, effattn and torch are the same.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from effattn_cli import files
from effattn_cli.analysis.cost.scaling import measured_exponent
from effattn_cli.cards import Variant
from effattn_cli.records import Cell
from effattn_cli.run.fork_server import Job, Launcher

LENGTHS = (4096, 16384)
SECONDS = 120.0  # for a variant
FILE = "growth.json"
LARGEST = 1 << 20  # bytes of the file


@dataclass(frozen=True, kw_only=True, slots=True)
class Growth:
    """Exponents of the tokens N."""

    flops: float
    memory: float


def of(launcher: Launcher, variant: Variant) -> Growth | None:
    """None where the variant cannot be counted."""
    causal = variant.card.causal == "always"
    cells = [Cell(variant=variant.name, seq=seq, causal=causal) for seq in LENGTHS]
    payload = {"cells": [{"cell": asdict(cell), "path": variant.plugin} for cell in cells]}
    answers = launcher.run(Job(name="count", payload=payload, timeout=SECONDS)).answers
    costs = [answer["cost"] for answer in answers if "cost" in answer]
    if len(costs) < len(LENGTHS):
        return None
    flops = [cost["matmul_flops"] + cost["other_flops"] for cost in costs]
    peaks = [cost["peak_bytes"] for cost in costs]
    if not all(flops + peaks):
        return None
    pair = (dict(zip(LENGTHS, amounts, strict=True)) for amounts in (flops, peaks))
    return Growth(**dict(zip(("flops", "memory"), map(measured_exponent, pair), strict=True)))


class Kept:
    """What was counted before, by variant, as long as it is the same that would be counted."""

    def __init__(self, version: str) -> None:
        self._version = version  # of what counts: effattn and torch
        self._known: dict[str, Growth] = dict(_read())

    def find(self, variant: Variant) -> Growth | None:
        return self._known.get(self._key(variant))

    def add(self, variant: Variant, growth: Growth) -> None:
        self._known[self._key(variant)] = growth
        data = {key: asdict(found) for key, found in self._known.items()}
        files.replace(files.made(files.data_folder()) / FILE, json.dumps(data, indent=0).encode())

    def _key(self, variant: Variant) -> str:
        return f"{variant.name} {variant.code} {self._version}"


def _read() -> Iterator[tuple[str, Growth]]:
    """What is kept; nothing of a file that something else has written."""
    found: Any = None
    with suppress(OSError, ValueError, RecursionError):
        path = files.data_folder() / FILE
        if path.stat().st_size <= LARGEST:
            found = json.loads(path.read_bytes())
    for key, value in found.items() if isinstance(found, dict) else ():
        with suppress(TypeError, ValueError):
            yield key, Growth(flops=float(value["flops"]), memory=float(value["memory"]))
