"""The time of a whole model: the sum of its parts, each measured once and counted as often as it
occurs.

Parts of one kind are one measurement, so that their errors add up in full; those of different kinds
are independent, and add up as the roots of their squares.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from effattn_cli.analysis.cost import utilisation
from effattn_cli.analysis.selection.curves import Curve
from effattn_cli.architecture import Model
from effattn_cli.estimate import Basis, Estimate
from effattn_cli.metrics import LATENCY
from effattn_cli.models.cells import Part, base, parts
from effattn_cli.records import Cell, Memory, Profile, Record, Roofline
from effattn_cli.setting import Setting

ORDER: tuple[Basis, ...] = ("measured", "interpolated", "predicted")


@dataclass(frozen=True)
class Share:
    """A part of a model, and the seconds of one of its kind; None where they are not known."""

    part: Part
    each: Estimate | None
    memory: Memory | None = None  # of one of its kind, where it was measured at this length

    @property
    def seconds(self) -> float:
        """Of all of its kind."""
        return self.each.value * self.part.count if self.each is not None else 0.0


@dataclass(frozen=True, kw_only=True)
class Pass:
    """A model reading a prompt, training on it, or making a token after it."""

    model: Model
    setting: Setting  # without what the model decides
    seq: int
    shares: tuple[Share, ...]  # of layers and ends
    mixers: tuple[Share, ...]  # within the layers

    @property
    def missing(self) -> list[Share]:
        """Parts whose seconds are not known."""
        return [share for share in self.shares if share.each is None]

    @cached_property
    def total(self) -> Estimate | None:
        """Seconds of the pass; None where a part is missing."""
        timed = [(share.each, share.part.count) for share in self.shares if share.each is not None]
        if len(timed) < len(self.shares) or not timed:
            return None
        value = sum(count * each.value for each, count in timed)
        down = math.hypot(*(count * (each.value - each.low) for each, count in timed))
        up = math.hypot(*(count * (each.high - each.value) for each, count in timed))
        return Estimate(
            value=value,
            low=max(value - down, value * 1e-3),
            high=value + up,
            basis=max((each.basis for each, _ in timed), key=ORDER.index),
            sources=(self.seq,),
            known=all(each.known for each, _ in timed),
            busy=any(each.busy for each, _ in timed),
        )

    @property
    def workspace(self) -> int | None:
        """Bytes that the pass takes beside weights, inputs and what is kept between tokens: the
        most that a part takes at once, and in training what every layer keeps for the backward
        pass. None where a part's was not measured.
        """
        memories = [(share.memory, share.part.count) for share in self.shares]
        peaks, saved = [], 0
        for memory, count in memories:
            if memory is None:
                return None
            peaks.append(memory.peak_bytes - memory.saved_bytes)
            saved += count * memory.saved_bytes
        return max(peaks) + saved

    @property
    def tokens_per_second(self) -> float | None:
        """Over the batch."""
        if self.total is None:
            return None
        tokens = 1 if self.setting.phase == "decode" else self.seq
        return self.setting.batch * tokens / self.total.value

    @property
    def mixing(self) -> float | None:
        """The share of the time that the mixers take, with their projections; None where it is not
        known. Layers that are a mixer alone count in full.
        """
        if self.total is None or any(share.each is None for share in self.mixers):
            return None
        alone = [s for s in self.shares if s.part.layer and s.part.layer.feed is None]
        seconds = sum(share.seconds for share in (*self.mixers, *alone))
        return min(1.0, seconds / self.total.value)

    @property
    def max_speedup(self) -> float | None:
        """How many times as fast the model could be if its mixers took no time."""
        mixing = self.mixing
        return 1 / (1 - mixing) if mixing is not None and mixing < 1 else None


class Times:
    """What records say of the time of a model's parts, at any length."""

    def __init__(self, records: Iterable[Record], rooflines: Sequence[Roofline]) -> None:
        self._curves: dict[Cell, list[Record]] = {}
        self._rooflines = rooflines
        self._made: dict[Cell, Curve] = {}
        self._memories: dict[Cell, Memory | None] = {}
        for record in records:
            self._memories[record.cell] = record.memory
            self._curves.setdefault(record.cell.resized(0), []).append(record)

    def of(self, cell: Cell) -> Estimate | None:
        """Seconds of a call; None where nothing like it was measured."""
        key = cell.resized(0)
        if key not in self._made:
            records = sorted(self._curves.get(key, []), key=lambda record: record.cell.seq)
            under = utilisation.of(cell.setting, self._rooflines)
            self._made[key] = Curve(records, LATENCY, under)
        return self._made[key].at(cell.seq)

    def of_pass(self, model: Model, seq: int, setting: Setting) -> Pass:
        """The model's pass over so many tokens, or its step after them."""
        shares = [
            Share(part, self.of(part.cell), self._memories.get(part.cell))
            for part in parts(model, seq, setting)
        ]
        return Pass(
            model=model,
            setting=setting,
            seq=seq,
            shares=tuple(share for share in shares if share.part.role != "mixer"),
            mixers=tuple(share for share in shares if share.part.role == "mixer"),
        )


def passes(profile: Profile) -> list[Pass]:
    """The passes of each of the profile's models that its cells are parts of."""
    times = Times(profile.records, profile.rooflines)
    pairs = dict.fromkeys(places(profile.records))
    return [
        times.of_pass(model, seq, setting) for setting, seq in pairs for model in profile.models
    ]


def places(records: Iterable[Record]) -> Iterator[tuple[Setting, int]]:
    """Settings and lengths of which there are whole layers."""
    for record in records:
        if record.cell.setting.scope == "block":
            yield base(record.cell.setting), record.cell.seq


def by_setting(passes: Iterable[Pass]) -> Mapping[Setting, list[Pass]]:
    """The passes of each setting, in their order."""
    grouped: dict[Setting, list[Pass]] = {}
    for each in passes:
        grouped.setdefault(each.setting, []).append(each)
    return grouped
