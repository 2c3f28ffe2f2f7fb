"""How a variant's FLOPs and peak memory grow from 4k to 16k tokens, counted once and kept.

Counting takes a second or two a variant, so what was counted is kept in the user's data folder for
as long as the variant's code, effattn and torch are the same.
"""

from contextlib import suppress

import msgspec
from msgspec import Struct

from effattn_cli import files
from effattn_cli.analysis.cost.scaling import Scaling, measured_exponent
from effattn_cli.cards import Variant
from effattn_cli.records import Cell
from effattn_cli.run import outcome
from effattn_cli.run.fork_server import Launcher
from effattn_cli.run.jobs import CountCost, Counted, Job, task
from effattn_cli.setting import Setting

LENGTHS = (4096, 16384)
SECONDS = 120.0  # for a variant
FILE = "growth.json"
LARGEST = 1 << 20  # bytes of the file


def of(launcher: Launcher, variant: Variant) -> Scaling | None:
    """None where the variant cannot be counted."""
    causal = variant.card.causal == "always"
    setting = Setting(scope=variant.scopes[0], causal=causal)
    cells = (Cell(variant=variant.name, seq=seq, setting=setting) for seq in LENGTHS)
    tasks = tuple(task(cell, {variant.name: variant}) for cell in cells)
    answers = launcher.run(Job(request=CountCost(tasks=tasks), timeout=SECONDS)).answers
    counted = [outcome.decoded(raw, Counted) for raw in answers]
    costs = [one.cost for one in counted if isinstance(one, Counted)]
    if len(costs) < len(LENGTHS):
        return None
    flops = {seq: cost.flops for seq, cost in zip(LENGTHS, costs, strict=True)}
    peaks = {seq: cost.peak_bytes for seq, cost in zip(LENGTHS, costs, strict=True)}
    if not all([*flops.values(), *peaks.values()]):
        return None
    return Scaling(flops=measured_exponent(flops), memory=measured_exponent(peaks))


class Kept(Struct, frozen=True):
    """What was counted before, by variant, as long as it is the same that would be counted."""

    version: str  # of what counts: effattn and torch
    scalings: dict[str, Scaling]

    @classmethod
    def read(cls, version: str) -> "Kept":
        """What is kept; nothing of a file that something else has written."""
        with suppress(OSError, msgspec.DecodeError, RecursionError):
            path = files.data_folder() / FILE
            if path.stat().st_size <= LARGEST:
                kept = msgspec.json.decode(path.read_bytes(), type=dict[str, Scaling])
                return cls(version, kept)
        return cls(version, {})

    def find(self, variant: Variant) -> Scaling | None:
        return self.scalings.get(self._key(variant))

    def add(self, variant: Variant, scaling: Scaling) -> None:
        self.scalings[self._key(variant)] = scaling
        data = msgspec.json.encode(self.scalings)
        files.replace(files.made(files.data_folder()) / FILE, msgspec.json.format(data, indent=1))

    def _key(self, variant: Variant) -> str:
        return f"{variant.name} {variant.code} {self.version}"
