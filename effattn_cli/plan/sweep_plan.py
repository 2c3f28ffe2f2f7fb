"""What a sweep measures, once it is planned."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from effattn_cli.architecture import Model
from effattn_cli.errors import UsageError
from effattn_cli.records import Cell, Shard
from effattn_cli.setting import Cache, Setting

MAX_CELLS = 10_000


@dataclass(frozen=True)
class Plan:
    """What a sweep measures.

    Beside each cell stands the baseline's: the same but for the variant and its options.
    """

    cells: tuple[Cell, ...]
    baseline: str | None  # its label
    notes: tuple[str, ...] = ()  # what was left out
    models: tuple[Model, ...] = ()  # whose parts the cells are
    shard: Shard | None = None  # where the cells are a part of the sweep's
    larger: frozenset[Setting] = frozenset()  # of models that no cache of a CPU holds

    @property
    def devices(self) -> tuple[str, ...]:
        """As they were named: `auto`, say."""
        return tuple(dict.fromkeys(cell.setting.device for cell in self.cells))

    @property
    def engines(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(cell.setting.engine for cell in self.cells))

    def placed(self, devices: Mapping[str, str]) -> "Plan":
        """The same on the devices that each name stands for here.

        Raises:
            UsageError: a CPU's cache cannot be made cold.
        """
        settings: dict[Setting, Setting] = {}
        for setting in {cell.setting: None for cell in self.cells}:
            device = devices[setting.device]
            cold = setting.cache == "cold" or (device == "cpu" and setting in self.larger)
            if cold and device == "cpu" and setting.phase != "decode":
                why = "a CPU's caches are left cold in decoding only"
                hint = "give --phase decode or --device cuda, or leave it out"
                raise UsageError(f"--cache cold: {why}", hint)
            cache: Cache = "cold" if cold else "warm"
            settings[setting] = replace(setting, device=device, cache=cache)
        cells = (replace(cell, setting=settings[cell.setting]) for cell in self.cells)
        return dataclasses.replace(self, cells=tuple(dict.fromkeys(cells)))


def refuse_too_many(axes: Mapping[str, Sequence[Any]]) -> None:
    count = math.prod(len(values) for values in axes.values())
    if count <= MAX_CELLS:
        return
    widest = max(axes, key=lambda axis: len(axes[axis]))
    message = f"the sweep has {count:,} cells, more than {MAX_CELLS:,}"
    raise UsageError(f"{message}: --{widest} alone has {len(axes[widest]):,} values")
