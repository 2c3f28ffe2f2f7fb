"""What is predicted against what was measured, over the cells of a saved profile.

    python benchmarks/predictions.py PROFILE...

For each curve the lengths beyond the first are hidden and predicted from what is left: latency at
2 and 4 times the longest length that is left, and peak memory at 4k and 16k from counting alone.
"""

import sys
from functools import partial
from pathlib import Path
from statistics import median

from effattn_cli import store
from effattn_cli.analysis.cost import prediction, utilisation
from effattn_cli.records import Profile, Record

MB = 10**6


def latencies(profile: Profile) -> list[tuple[float, bool, str, int]]:
    """For each prediction: measured over predicted, whether the interval holds it, and of what."""
    rows = []
    for record in profile.records:
        for times in (2, 4):
            near = _at(profile, record, times)
            if near is None or record.seconds is None or record.status != "measured":
                continue
            under = utilisation.of(record.cell.setting, profile.rooflines) or utilisation.ANY
            expect = partial(utilisation.seconds, roofline=under)
            predicted = prediction.prediction(record, [near], expect, "hidden")
            if predicted is None:
                continue
            inside = predicted.low <= record.seconds <= predicted.high
            name = f"{record.cell.label} {record.cell.setting.phase} at {record.cell.seq}"
            rows.append((record.seconds / predicted.seconds, inside, name, times))
    return rows


def _at(profile: Profile, record: Record, times: int) -> Record | None:
    same = [r for r in profile.records if r.cell.curve == record.cell.curve]
    return next((r for r in same if r.cell.seq * times == record.cell.seq), None)


def peaks(profile: Profile) -> list[tuple[int, int, str]]:
    """Counted and measured peaks of the cells at 4k and 16k."""
    return [
        (record.cost.peak_bytes, record.memory.peak_bytes, f"{record.cell.label} {record.cell.seq}")
        for record in profile.records
        if record.cost and record.memory and record.cell.seq in (4096, 16384)
    ]


def main() -> None:
    profiles = [store.read(Path(name)) for name in sys.argv[1:]]
    rows = [row for profile in profiles for row in latencies(profile)]
    print(f"{'latency at':12} {'cells':>6} {'median off':>11} {'worst':>8} {'in the interval':>16}")
    for times in (2, 4):
        own = [row for row in rows if row[3] == times]
        offs = [abs(1 / ratio - 1) for ratio, *_ in own]
        inside = sum(holds for _, holds, *_ in own) / len(own)
        print(
            f"{times} times{'':5} {len(own):6} {median(offs):11.1%} {max(offs):8.1%} {inside:16.0%}"
        )
    print("\nthe worst: measured over predicted")
    for ratio, holds, name, times in sorted(rows, key=lambda row: -abs(1 / row[0] - 1))[:10]:
        print(f"{ratio:6.2f} {'' if holds else 'outside':8} {name}, from 1/{times} of it")
    pairs = [pair for profile in profiles for pair in peaks(profile)]
    off = [p for p in pairs if abs(p[0] - p[1]) > max(0.1 * p[1], 4 * MB)]
    print(f"\npeak memory counted, {len(pairs)} cells: {len(off)} off by more than 10 % and 4 MB")
    for counted, measured, name in off:
        print(f"{counted / MB:10.1f} MB counted, {measured / MB:10.1f} MB measured  {name}")


if __name__ == "__main__":
    main()
