"""Whether the machines of a sweep's shards are equally fast: a cell that all measured tells."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from effattn_cli.analysis.compare.comparison import THRESHOLD
from effattn_cli.analysis.compare.trials import trials
from effattn_cli.analysis.compare.verdicts import Change, judged
from effattn_cli.metrics import LATENCY
from effattn_cli.records import Cell, Profile, Record


@dataclass(frozen=True, kw_only=True)
class Unequal:
    """Two profiles whose sentinels took unequally long."""

    sentinel: Cell
    usual: str  # the names of the profiles
    other: str
    change: Change  # of the latency, from the usual one to the other


def unequal(profiles: Mapping[str, Profile]) -> list[Unequal]:
    """Where a sentinel stands out from that of the usual profile, whose latency is the middle one:
    by the test, the threshold and the false discovery rate of `compare`, the other profiles being
    judged together.

    The latencies are not corrected for the machine's speed, which is what is asked for.
    """
    sentinels = dict.fromkeys(each.shard.sentinel for each in profiles.values() if each.shard)
    return [one for sentinel in sentinels for one in _unequal(sentinel, profiles)]


def _unequal(sentinel: Cell, profiles: Mapping[str, Profile]) -> Iterator[Unequal]:
    held = dict(_measured(sentinel, profiles))
    if len(held) < 2:
        return
    order = sorted(held, key=lambda name: held[name].seconds or 0.0)
    usual = order[(len(order) - 1) // 2]
    others = [name for name in held if name != usual]
    pairs = [(held[usual], held[other]) for other in others]
    tested, _ = trials(pairs, LATENCY, lambda _: None)
    for index, change in zip(tested, judged([*tested.values()], THRESHOLD), strict=True):
        if change.verdict in {"better", "worse"}:
            yield Unequal(sentinel=sentinel, usual=usual, other=others[index], change=change)


def _measured(sentinel: Cell, profiles: Mapping[str, Profile]) -> Iterator[tuple[str, Record]]:
    for name, profile in profiles.items():
        for record in profile.records:
            if record.cell == sentinel and record.status == "measured":
                yield name, record
