"""Verdicts on sweeps whose truth is known."""

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from effattn_cli.analysis.compare.comparison import Comparison, compare
from effattn_cli.analysis.compare.differences import differences, drifted
from effattn_cli.analysis.compare.pairing import paired
from effattn_cli.analysis.compare.verdicts import Change
from effattn_cli.errors import UsageError
from effattn_cli.records import Profile, Record, Run
from effattn_cli.report.compare import change_phrases
from tests.builders import (
    MIB,
    a_cell,
    a_machine,
    a_memory,
    a_profile,
    a_variant,
    drawing,
    failed,
    measured,
    pending,
    predicted,
)
from tests.report.mixes import mixes

SEQS = [2**power for power in range(8, 18)]


def a_sweep(
    seed: int,
    *,
    cv: float = 0.05,
    rounds: int = 3,
    factor: Callable[[int], float] = lambda seq: 1.0,
) -> Profile:
    rng = random.Random(seed)
    records = [
        measured(
            a_cell(label, seq),
            [1e-6 * seq * factor(seq) * rng.lognormvariate(0, cv) for _ in range(rounds)],
        )
        for label in ("sdpa", "linformer")
        for seq in SEQS
    ]
    return a_profile(*records)


def scaled(profile: Profile, factor: float) -> Profile:
    def slower(part: Run) -> Run:
        return replace(part, samples=tuple(sample * factor for sample in part.samples))

    records = (replace(r, runs=tuple(map(slower, r.runs))) for r in profile.records)
    return replace(profile, records=tuple(records))


def latencies(found: Comparison) -> list[Change]:
    return [pair.changes["latency"] for pair in found.pairs if "latency" in pair.changes]


@settings(deadline=None)
@given(mixes())
def test_a_profile_against_itself_is_all_the_same(records: list[Record]) -> None:
    profile = a_profile(*records)
    found = compare(profile, profile)
    changes = [change for pair in found.pairs for change in pair.changes.values()]
    assert all((change.verdict, change.ratio) == ("same", 1) for change in changes)
    measured_cells = sum(record.status == "measured" for record in records)
    assert len(latencies(found)) == measured_cells
    assert all(change.verdict == "same" for mean in found.means for change in mean.changes.values())
    assert not found.only_old + found.only_new
    assert drifted(found) == []
    assert differences(found) == []


@settings(deadline=None)
@given(mixes(), mixes())
def test_swapping_the_profiles_mirrors_the_verdicts(old: list[Record], new: list[Record]) -> None:
    there, back = (compare(a_profile(*a), a_profile(*b)) for a, b in ((old, new), (new, old)))
    mirror = {"better": "worse", "worse": "better", "same": "same", "unclear": "unclear"}
    backwards = {pair.cell: pair for pair in back.pairs}
    assert len(backwards) == len(there.pairs)
    for pair in there.pairs:
        other = backwards[pair.cell]
        assert pair.newly_failed == other.newly_fixed
        assert set(pair.changes) == set(other.changes)
        for metric, change in pair.changes.items():
            against = other.changes[metric]
            assert mirror[change.verdict] == against.verdict
            assert change.more_rounds == pytest.approx(against.more_rounds, abs=1)
            if 0 < change.ratio < math.inf:
                assert change.ratio == pytest.approx(1 / against.ratio)
                assert change.low == pytest.approx(1 / against.high)
    assert [r.cell for r in there.only_old] == [r.cell for r in back.only_new]


def test_a_ratio_beyond_all_numbers_is_infinite() -> None:
    record = measured(a_cell(), 1.0)
    least, usual = (a_profile(drawing(record, j, j, j)) for j in (5e-324, 1.0))
    change = compare(least, usual).pairs[0].changes["energy"]
    assert (change.verdict, change.ratio) == ("worse", math.inf)
    assert compare(usual, least).pairs[0].changes["energy"].verdict == "better"
    assert change_phrases.amount(change) == "from nothing"
    assert change_phrases.plus_minus(change) == ""


@settings(deadline=None)
@given(mixes(), st.floats(0.01, 100))
def test_a_factor_on_every_sample_is_the_ratio(records: list[Record], factor: float) -> None:
    profile = a_profile(*records)
    for change in latencies(compare(profile, scaled(profile, factor))):
        assert change.ratio == pytest.approx(factor)
        assert change.low <= change.ratio * (1 + 1e-9)
        assert change.high >= change.ratio * (1 - 1e-9)


def test_nothing_changed_and_hardly_a_cell_is_called_different() -> None:
    called = [
        change.verdict in {"better", "worse"}
        for seed in range(0, 60, 2)
        for change in latencies(compare(a_sweep(seed), a_sweep(seed + 1)))
    ]
    assert len(called) == 600
    assert sum(called) <= 6


def test_cells_that_changed_are_found_and_the_others_are_not() -> None:
    new = a_sweep(2, factor=lambda seq: 1.5 if seq > 4096 else 1.0)
    for pair in compare(a_sweep(1), new).pairs:
        verdict = pair.changes["latency"].verdict
        assert (verdict == "worse") == (pair.cell.seq > 4096)


def test_many_rounds_can_say_that_nothing_changed() -> None:
    found = compare(a_sweep(1, rounds=60), a_sweep(2, rounds=60))
    assert found.count("latency")["same"] >= 15


def slower(_: int) -> float:
    return 1.07


def test_the_rounds_advised_decide() -> None:
    few = compare(a_sweep(1), a_sweep(2, factor=slower))
    asked = sorted(c.more_rounds for c in latencies(few) if c.verdict == "unclear")
    assert few.count("latency")["worse"] < 5
    enough = 3 + asked[len(asked) // 2]
    assert 5 < enough < 30
    many = compare(a_sweep(3, rounds=enough), a_sweep(4, rounds=enough, factor=slower))
    assert many.count("latency")["worse"] > 13


def test_no_rounds_are_advised_where_the_machine_changed_by_more_than_they_could_tell() -> None:
    old, new = a_sweep(1, cv=0.01), a_sweep(2, cv=0.01, factor=slower)
    slow = {id(part) for record in new.records for part in record.runs}
    found = compare(old, new, calibration=lambda part: 1.5 if id(part) in slow else 1.0)
    assert found.count("latency")["unclear"] == 20
    assert {change.more_rounds for change in latencies(found)} == {0}


def test_a_change_below_the_threshold_is_none_however_sure_it_is() -> None:
    old, new = a_sweep(1, cv=0.002), a_sweep(2, cv=0.002, factor=lambda seq: 1.02)
    assert compare(old, new).count("latency")["same"] == 20
    assert compare(old, new, threshold=0.01).count("latency")["worse"] == 20


def test_single_rounds_decide_only_what_no_process_explains() -> None:
    old = a_sweep(1, rounds=1)
    twice = compare(old, scaled(old, 2.5))
    assert twice.count("latency")["worse"] == 20
    assert compare(old, scaled(old, 1.2)).count("latency")["unclear"] == 20


def test_the_mean_of_a_variant_finds_what_no_cell_shows() -> None:
    found = compare(a_sweep(5), a_sweep(6, factor=lambda seq: 1.08))
    assert found.count("latency")["worse"] <= 2
    means = [mean.changes["latency"] for mean in found.means]
    assert [mean.verdict for mean in means] == ["worse", "worse"]
    assert all(mean.low < 1.08 < mean.high for mean in means)


def test_a_calibration_takes_the_machine_out_of_the_change() -> None:
    old, new = a_sweep(1, cv=0.01), scaled(a_sweep(2, cv=0.01), 1.2)
    slow = {id(part) for record in new.records for part in record.runs}
    rng = random.Random(3)

    def kernel(part: Run) -> float:
        return 1e-3 * rng.lognormvariate(0, 0.04) * (1.2 if id(part) in slow else 1.0)

    assert compare(old, new).count("latency")["worse"] == 20
    found = compare(old, new, calibration=kernel)
    assert found.slowdown == pytest.approx(1.2, rel=0.03)
    assert found.count("latency")["worse"] == 0
    assert latencies(found)[0].new == new.records[0].seconds  # what is shown stays as measured


def test_another_machine_is_not_corrected_to_be_this_one() -> None:
    old, new = a_sweep(1, cv=0.01), scaled(a_sweep(2, cv=0.01), 1.2)
    new = replace(new, machine=replace(new.machine, cpu="another"))
    slow = {id(part) for record in new.records for part in record.runs}
    found = compare(old, new, calibration=lambda part: 1.2 if id(part) in slow else 1.0)
    assert found.slowdown is None
    assert found.count("latency")["worse"] == 20


def test_two_variants_of_a_sweep_are_old_and_new() -> None:
    one, other = a_cell("sdpa", 64), a_cell("linformer:rank=64", 64)
    sweep = a_profile(measured(one, 1.0), measured(other, 2.0), measured(a_cell("x"), 9.0))
    found = compare(*paired(sweep, sweep, ("sdpa", other.label)))
    assert found.in_turn
    (pair,) = found.pairs
    assert (pair.old.seconds, pair.new.seconds) == (1.0, 2.0)
    assert [mean.label for mean in found.means] == [f"sdpa -> {other.label}"]
    assert (differences(found), drifted(found)) == ([], [])
    with pytest.raises(UsageError, match="unknown variant of the profile 'linformer'"):
        paired(sweep, sweep, ("sdpa", "linformer"))


def test_each_device_has_a_calibration_of_its_own() -> None:
    def on(device: str, profile: Profile) -> list[Record]:
        return [
            replace(r, cell=replace(r.cell, setting=replace(r.cell.setting, device=device)))
            for r in profile.records
        ]

    old, new = a_sweep(1, cv=0.01), a_sweep(2, cv=0.01)
    before = a_profile(*on("cpu", old), *on("cuda:0", old))
    after = a_profile(*on("cpu", scaled(new, 1.3)), *on("cuda:0", new))
    slow = {id(part) for r in after.records[:20] for part in r.runs}
    found = compare(before, after, calibration=lambda part: 1.3 if id(part) in slow else 1.0)
    assert found.count("latency")["worse"] == found.count("latency")["better"] == 0


def test_a_calibration_that_one_side_lacks_corrects_nothing() -> None:
    old, new = a_sweep(1), a_sweep(2)
    slow = {id(part) for record in new.records for part in record.runs}
    found = compare(old, new, calibration=lambda part: 1e-3 if id(part) in slow else None)
    assert found.slowdown is None
    assert latencies(found) == latencies(compare(old, new))


def test_predicted_and_failed_cells_have_no_verdict_on_latency() -> None:
    cells = [a_cell("sdpa", seq) for seq in (1, 2, 3, 4)]
    old = a_profile(predicted(cells[0], 1.0), measured(cells[1], 1.0), failed(cells[2]),
                    measured(cells[3], 1.0))  # fmt: skip
    new = a_profile(measured(cells[0], 9.0), predicted(cells[1], 9.0), measured(cells[2], 1.0),
                    failed(cells[3]))  # fmt: skip
    found = compare(old, new)
    assert latencies(found) == []
    assert [pair.newly_fixed for pair in found.pairs] == [False, False, True, False]
    assert [pair.newly_failed for pair in found.pairs] == [False, False, False, True]


def test_memory_that_was_found_in_another_way_is_not_compared() -> None:
    old, new = measured(a_cell(), 1.0, MIB), measured(a_cell(), 1.0, 2 * MIB)
    (pair,) = compare(a_profile(old), a_profile(new)).pairs
    assert (pair.changes["peak"].verdict, pair.changes["peak"].ratio) == ("worse", 2)
    other = replace(new, memory=replace(a_memory(2 * MIB), method="another"))
    (pair,) = compare(a_profile(old), a_profile(other)).pairs
    assert "memory" not in pair.changes


def test_energy_has_noise_as_latency_has_and_is_judged_on_its_own() -> None:
    rng = random.Random(1)

    def powered(profile: Profile, factor: float) -> Profile:
        return a_profile(*(
            drawing(r, *(factor * rng.lognormvariate(0, 0.05) for _ in r.runs))
            for r in profile.records
        ))  # fmt: skip

    old, new = powered(a_sweep(1), 2.0), powered(a_sweep(2), 3.0)
    found = compare(old, new)
    assert found.count("energy") == {"worse": 20, "better": 0, "same": 0, "unclear": 0}
    assert found.count("latency")["worse"] == 0
    assert latencies(found) == latencies(compare(a_sweep(1), a_sweep(2)))
    for mean in found.means:
        energy = mean.changes["energy"]
        assert (mean.cells["energy"], energy.verdict) == (10, "worse")
        assert energy.low < 1.5 < energy.high
    assert compare(old, powered(a_sweep(2), 2.0)).count("energy")["worse"] == 0


@pytest.mark.parametrize("joules", [(1.0, None, 1.0), (1.0, 0.0, 1.0), (None, None, None)])
def test_energy_that_a_round_could_not_tell_is_not_compared(
    joules: tuple[float | None, ...],
) -> None:
    known, gone = measured(a_cell(), 1.0), failed(a_cell())
    sides = drawing(known, 1.0, 1.0, 1.0), drawing(known, *joules)
    for old, new in (sides, sides[::-1], (sides[0], gone), (sides[0], predicted(a_cell(), 1.0))):
        (pair,) = compare(a_profile(old), a_profile(new)).pairs
        assert "energy" not in pair.changes


def test_cells_pair_by_what_was_asked_for() -> None:
    old = a_profile(measured(replace(a_cell(), options={"a": 1, "b": 2}), 1.0))
    new = a_profile(measured(replace(a_cell(), options={"b": 2, "a": 1}), 1.0))
    assert len(compare(old, new).pairs) == 1
    other = a_profile(measured(a_cell(threads=8), 1.0))
    found = compare(old, other)
    assert (len(found.pairs), len(found.only_old), len(found.only_new)) == (0, 1, 1)
    assert [(d.what, d.old, d.new) for d in differences(found)] == [("threads", "2", "8")]


def test_what_differs_is_named_the_hardware_first() -> None:
    old = a_sweep(1)
    new = replace(
        a_sweep(2),
        machine=a_machine(torch="2.14.0", cpu="another", load=3.0),
        variants={"sdpa": a_variant("sdpa"), "linformer": a_variant("linformer", code="0")},
    )
    found = differences(compare(old, new))
    assert [item.what for item in found] == ["cpu", "torch", "code of linformer"]


def test_a_variant_that_changed_without_a_reason_points_at_the_machine() -> None:
    old, new = a_sweep(1), scaled(a_sweep(2), 1.3)
    assert drifted(compare(old, new)) == ["sdpa", "linformer"]
    changed = {"linformer": a_variant("linformer", code="0")}
    assert drifted(compare(old, replace(new, variants={**new.variants, **changed}))) == ["sdpa"]
    assert drifted(compare(old, replace(new, machine=a_machine(cpu="another")))) == []


def test_pending_cells_are_no_news() -> None:
    found = compare(a_profile(pending(a_cell())), a_profile(measured(a_cell(), 1.0)))
    assert latencies(found) == []
    assert not found.pairs[0].newly_fixed
