"""What belongs in one table: records that differ in nothing but variant and length."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from operator import itemgetter
from typing import Any

from effattn_cli.records import Cell, Record


@dataclass(frozen=True)
class Group:
    """Records of one setting, in the order of the profile."""

    shape: Cell  # what they share; no variant, length 0, and batch 0 where it depends on the length
    records: tuple[Record, ...]

    @cached_property
    def labels(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(record.cell.label for record in self.records))

    @cached_property
    def seqs(self) -> tuple[int, ...]:
        return tuple(sorted({record.cell.seq for record in self.records}))

    @cached_property
    def _found(self) -> dict[tuple[str, int], Record]:
        return {(record.cell.label, record.cell.seq): record for record in self.records}

    def find(self, label: str, seq: int) -> Record | None:
        return self._found.get((label, seq))

    def curve(self, label: str) -> list[Record]:
        """The variant's records, from the shortest length to the longest."""
        found = (self.find(label, seq) for seq in self.seqs)
        return [record for record in found if record is not None]


def groups(records: Iterable[Record]) -> list[Group]:
    """The settings of a sweep, in the order in which they first occur.

    A batch size is part of the setting, unless it follows from the length, as it does in a sweep
    over constant tokens: then there is one curve over all lengths.
    """
    found: dict[object, list[Record]] = {}
    for record in records:
        found.setdefault(_setting(vars(record.cell)), []).append(record)
    return [group for members in found.values() for group in _by_batch(members)]


VARIES: dict[str, Any] = {"variant": "", "options": {}, "seq": 0, "batch": 0}
#: From a cell's own dictionary: a new cell, or its key, would take twenty times as long.
_setting = itemgetter(*(item.name for item in fields(Cell) if item.name not in VARIES))


def _by_batch(records: list[Record]) -> list[Group]:
    shape = replace(records[0].cell, **VARIES)
    pairs = {(record.cell.seq, record.cell.batch) for record in records}
    batches = list(dict.fromkeys(record.cell.batch for record in records))
    if len(batches) > 1 and len(pairs) == len({seq for seq, _ in pairs}):
        return [Group(shape, tuple(records))]
    return [
        Group(replace(shape, batch=batch), tuple(r for r in records if r.cell.batch == batch))
        for batch in batches
    ]
