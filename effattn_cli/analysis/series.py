"""What belongs in one table: records that differ in nothing but variant and length."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from msgspec.structs import replace

from effattn_cli.records import Record
from effattn_cli.setting import Setting


@dataclass(frozen=True)
class Series:
    """Records of one setting, in the order of the profile."""

    setting: Setting  # batch 0 where it depends on the length
    records: tuple[Record, ...]

    @cached_property
    def labels(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(record.cell.label for record in self.records))

    @cached_property
    def seqs(self) -> tuple[int, ...]:
        return tuple(sorted({record.cell.seq for record in self.records}))

    @cached_property
    def _by_place(self) -> dict[tuple[str, int], Record]:
        return {(record.cell.label, record.cell.seq): record for record in self.records}

    def find(self, label: str, seq: int) -> Record | None:
        return self._by_place.get((label, seq))

    def curve(self, label: str) -> list[Record]:
        """The variant's records, from the shortest length to the longest."""
        records = (self.find(label, seq) for seq in self.seqs)
        return [record for record in records if record is not None]


def by_setting(records: Iterable[Record]) -> list[Series]:
    """The settings of a sweep, in the order in which they first occur.

    A batch size is part of the setting, unless it follows from the length, as it does in a sweep
    over constant tokens: then there is one curve over all lengths.
    """
    batchless: dict[Setting, list[Record]] = {}
    shapes: dict[Setting, Setting] = {}  # the same without the batch, made once for each
    for record in records:
        setting = record.cell.setting
        if setting not in shapes:
            shapes[setting] = replace(setting, batch=0)
        batchless.setdefault(shapes[setting], []).append(record)
    return [one for shape, members in batchless.items() for one in _by_batch(shape, members)]


def _by_batch(shape: Setting, records: list[Record]) -> list[Series]:
    pairs = {(record.cell.seq, record.cell.setting.batch) for record in records}
    batches = list(dict.fromkeys(record.cell.setting.batch for record in records))
    if len(batches) > 1 and len(pairs) == len({seq for seq, _ in pairs}):
        return [Series(shape, tuple(records))]
    return [
        Series(
            replace(shape, batch=batch),
            tuple(record for record in records if record.cell.setting.batch == batch),
        )
        for batch in batches
    ]
