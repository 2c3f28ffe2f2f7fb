"""The cell that every shard measures: whether machines are equally fast."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from effattn_cli.analysis.compare.sentinels import unequal
from effattn_cli.records import Profile, Shard
from tests.builders import a_cell, a_profile, failed, measured

SENTINEL = a_cell("sdpa")


def a_shard(number: int, seconds: Sequence[float], *, of: int = 8) -> Profile:
    """A shard whose sentinel took so long in each of its rounds."""
    shard = Shard(number=number, of=of, cells=16, sentinel=SENTINEL, borrowed=number > 1)
    return a_profile(measured(SENTINEL, seconds), shard=shard)


def test_machines_that_are_equally_fast_but_for_noise() -> None:
    shards = {str(n): a_shard(n, [1.0, 1.03 + n / 100, 0.97]) for n in range(1, 9)}
    assert unequal(shards) == []


def test_a_machine_that_is_slower_is_found_and_named() -> None:
    shards = {str(n): a_shard(n, [1.0, 1.01, 0.99]) for n in range(1, 9)}
    [found] = unequal({**shards, "5": a_shard(5, [1.5, 1.51, 1.49])})
    assert (found.sentinel, found.other) == (SENTINEL, "5")
    assert found.usual != "5"
    assert found.change.ratio == pytest.approx(1.5, rel=0.05)
    assert found.change.verdict == "worse"


def test_it_is_named_even_if_it_comes_first() -> None:
    shards = {str(n): a_shard(n, [1.0, 1.01, 0.99]) for n in range(2, 9)}
    found = unequal({"1": a_shard(1, [3.0, 3.01, 2.99]), **shards})
    assert [one.other for one in found] == ["1"]


def test_a_single_round_tells_only_what_processes_never_differ_by() -> None:
    assert unequal({"a": a_shard(1, [1.0]), "b": a_shard(2, [1.2])}) == []
    assert len(unequal({"a": a_shard(1, [1.0]), "b": a_shard(2, [2.0])})) == 1


def test_the_speed_of_the_machine_is_not_taken_out() -> None:
    """`compare` corrects by the reference kernel; here the machine's speed is the question."""
    slow = a_shard(2, [1.5, 1.51, 1.49])
    record = slow.records[0]
    runs = tuple(replace(run, calibration=1.5) for run in record.runs)
    slow = replace(slow, records=(replace(record, runs=runs),))
    fast = a_shard(1, [1.0, 1.01, 0.99])
    record = fast.records[0]
    runs = tuple(replace(run, calibration=1.0) for run in record.runs)
    fast = replace(fast, records=(replace(record, runs=runs),))
    assert len(unequal({"fast": fast, "slow": slow})) == 1


def test_without_shards_or_measurements_there_is_nothing_to_compare() -> None:
    plain = [a_profile(measured(SENTINEL, seconds)) for seconds in (1.0, 2.0)]
    assert unequal({"a": plain[0], "b": plain[1]}) == []
    broken = replace(a_shard(2, [9.0]), records=(failed(SENTINEL),))
    assert unequal({"a": a_shard(1, [1.0]), "b": broken}) == []
    assert unequal({"a": a_shard(1, [1.0])}) == []


def test_what_was_merged_before_is_compared_with_a_further_shard() -> None:
    merged = replace(a_shard(1, [1.0, 1.01, 0.99]), shard=None)
    assert len(unequal({"merged": merged, "late": a_shard(2, [2.0, 2.01, 1.99])})) == 1
