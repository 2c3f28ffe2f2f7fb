"""Hands the programs of a cell to its engine."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from effattn_cli import engines
from effattn_cli.engines import Engine, Program
from effattn_cli.errors import Unsupported
from effattn_cli.records import Cell


@dataclass(frozen=True)
class Preparer:
    """Makes programs of one cell, for an engine that can run them.

    Raises:
        Unsupported: the engine cannot do what the cell asks for.
    """

    cell: Cell
    seed: int
    watched: bool

    def __post_init__(self) -> None:
        setting = self.cell.setting
        if why := self.engine.missing(setting.device):
            raise Unsupported(why)
        if self.engine.STATIC and setting.phase == "train":
            raise Unsupported(f"{setting.engine} runs graphs without gradients: it does not train")

    @property
    def engine(self) -> Engine:
        return engines.load(self.cell.setting.engine)

    def program(self, run: Callable[..., Any], given: Mapping[str, Any], step: int = 0) -> Program:
        """`run`, which takes these arguments at every call."""
        return Program(
            run=run,
            given=tuple(given.values()),
            names=tuple(given),
            threads=self.cell.setting.threads,
            watched=self.watched,
            key=f"{msgspec.json.encode(self.cell).decode()} {self.seed} {step}",
        )
