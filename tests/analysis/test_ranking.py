"""The choice against brute force, and what must hold whatever the numbers are."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from effattn_cli.analysis.selection.candidates import Limit, Requirements, candidates
from effattn_cli.analysis.selection.ranking import Choice, Preference, choose
from effattn_cli.metrics import LATENCY, MEMORY, percentile
from effattn_cli.records import Record
from tests.analysis.grids import CURVES, KINDS, LRA, SEQS, grid, variants
from tests.builders import a_card, a_cell, a_variant, failed, measured, predicted

MIB = 2**20
PREFERENCES: tuple[Preference, ...] = ("quality", "speed", "memory")
VARIANTS = variants()
GRID = grid(noise=0.05)


def latency(most: float, quantile: float | None = None) -> Limit:
    metric = LATENCY if quantile is None else percentile(quantile)
    return Limit(metric=metric, max=most)


def memory(most: float) -> Limit:
    return Limit(metric=MEMORY, max=most)


def chosen(
    records: Sequence[Record],
    seq: int,
    *limits: Limit,
    prefer: Preference = "quality",
    **needs: bool,
) -> Choice:
    wanted = Requirements(limits=limits, **needs)
    return choose(candidates(records, wanted, VARIANTS), seq, wanted, prefer)


def order(choice: Choice) -> list[str]:
    return [one.label for one in choice.evaluations]


def fitting(choice: Choice) -> set[str]:
    return {one.label for one in choice.evaluations if one.fits}


def brute_force(seq: int, seconds: float, size: float, prefer: Preference) -> str | None:
    """By its own reading of the records and of the rules, nothing of `choose` in it."""
    fits: dict[str, tuple[float, int]] = {}
    for record in GRID:
        if record.cell.seq != seq or record.memory is None:
            continue
        time = sorted(sorted(r.samples)[3] / 2 + sorted(r.samples)[4] / 2 for r in record.runs)[1]
        if time <= seconds and record.memory.peak_bytes <= size:
            fits[record.cell.variant] = (time, record.memory.peak_bytes)
    exact = [name for name in fits if KINDS[name] == "exact"]
    names = exact or list(fits)
    if prefer == "quality" and not exact:
        names = [name for name in names if name in LRA] or names
        best = max((LRA.get(name, 0.0) for name in names), default=0.0)
        names = [name for name in names if LRA.get(name, 0.0) == best]
    place = 1 if prefer == "memory" else 0
    return min(names, key=lambda name: (fits[name][place], fits[name][1 - place]), default=None)


BUDGETS = st.tuples(
    st.sampled_from(SEQS), st.floats(1e-5, 20.0), st.floats(1e5, 1e11), st.sampled_from(PREFERENCES)
)


@given(BUDGETS)
def test_on_a_measured_grid_it_is_what_brute_force_finds(
    budget: tuple[int, float, float, Preference],
) -> None:
    seq, seconds, size, prefer = budget
    found = chosen(GRID, seq, latency(seconds), memory(size), prefer=prefer)
    assert (found.best.label if found.best else None) == brute_force(*budget)


@given(BUDGETS, st.floats(1.0, 50.0), st.floats(1.0, 50.0), st.booleans())
def test_a_looser_budget_never_removes_a_choice(
    budget: tuple[int, float, float, Preference], more: float, room: float, hidden: bool
) -> None:
    seq, seconds, size, prefer = budget
    records = [r for r in GRID if not hidden or r.cell.seq != seq]
    tight = chosen(records, seq, latency(seconds), memory(size), prefer=prefer)
    loose = chosen(records, seq, latency(seconds * more), memory(size * room), prefer=prefer)
    assert fitting(tight) <= fitting(loose)


@given(BUDGETS, st.sampled_from(sorted(CURVES)), st.floats(0.01, 1.0), st.booleans())
def test_what_gets_faster_never_ranks_lower(
    budget: tuple[int, float, float, Preference], name: str, factor: float, hidden: bool
) -> None:
    seq, seconds, size, prefer = budget
    records = [r for r in GRID if not hidden or r.cell.seq != seq]
    limits = (latency(seconds), memory(size))
    before = chosen(records, seq, *limits, prefer=prefer)
    after = chosen([faster(r, name, factor) for r in records], seq, *limits, prefer=prefer)
    assert order(after).index(name) <= order(before).index(name)


def faster(record: Record, name: str, factor: float) -> Record:
    if record.cell.variant != name:
        return record
    runs = [replace(r, samples=tuple(factor * s for s in r.samples)) for r in record.runs]
    return replace(record, runs=tuple(runs))


@given(BUDGETS, st.booleans())
def test_nothing_is_certain_that_was_not_measured(
    budget: tuple[int, float, float, Preference], beyond: bool
) -> None:
    seq, seconds, size, _ = budget
    records = [r for r in GRID if (r.cell.seq < seq if beyond else r.cell.seq != seq)]
    for one in chosen(records, seq, latency(seconds), memory(size)).evaluations:
        assert not one.certain
        assert one.probability <= 0.99**2
        assert all(e.basis != "measured" for e in one.estimates.values())


@given(BUDGETS)
def test_the_front_is_what_the_definition_says(
    budget: tuple[int, float, float, Preference],
) -> None:
    seq, seconds, size, _ = budget
    found = chosen(GRID, seq, latency(seconds), memory(size))
    beaten = {
        one.label
        for one in found.evaluations
        if any(other.dominates(one) for other in found.evaluations)
    }
    assert set(found.dominated) == beaten


def test_exact_attention_comes_first_where_it_fits() -> None:
    found = chosen(GRID, 1024, latency(1.0), prefer="speed")
    assert found.best is not None
    assert found.best.label == "sdpa"
    assert found.evaluations[0].candidate.quality.exact


def test_of_two_that_fit_the_better_published_score_comes_first() -> None:
    found = chosen(GRID, 65536, latency(1.0))
    assert order(found)[:5] == ["longformer", "performer", "linformer", "reformer", "plugin"]


def test_other_options_come_after_the_authors_own() -> None:
    records = [
        measured(a_cell(label), t) for label, t in (("linformer", 2), ("linformer:rank=8", 1))
    ]
    assert order(chosen(records, 1024, latency(3))) == ["linformer", "linformer:rank=8"]
    fast = chosen(records, 1024, latency(3), prefer="speed")
    assert order(fast) == ["linformer:rank=8", "linformer"]
    assert not fast.dominated  # nobody knows what the smaller rank costs in quality


@pytest.mark.parametrize(
    ("needs", "why"),
    [({"decode": True}, "decode"), ({"causal": True}, "causal"), ({"padding": True}, "padding"),
     ({"exact": True}, "exact")],
)  # fmt: skip
def test_a_hard_need_that_is_not_met_is_the_reason(needs: Mapping[str, bool], why: str) -> None:
    card = a_card("own mechanism", causal="never", padding=False)
    known = {"mine": a_variant("mine", card=card)}
    wanted = Requirements(limits=(latency(1.0),), **needs)
    records = [measured(a_cell("mine"), 0.5)]
    (one,) = choose(candidates(records, wanted, known), 1024, wanted).evaluations
    assert one.rejection is not None
    assert one.rejection.why == why
    assert not one.fits
    assert one.probability == 0


def test_what_ran_out_of_memory_is_not_carried_on_beyond() -> None:
    records = [*grid(SEQS[:4], names=["softmax"]), failed(a_cell("softmax", SEQS[4]))]
    for seq in (SEQS[4] - 64, SEQS[4], SEQS[5]):
        (one,) = chosen(records, seq, latency(1e3)).evaluations
        assert one.rejection is not None
        assert one.rejection.seq == SEQS[4]
    assert chosen(records, SEQS[3], latency(1e3)).best


def test_what_was_measured_elsewhere_only_is_named() -> None:
    wanted = Requirements(limits=(latency(1.0),))
    here, there = measured(a_cell("sdpa"), 0.5), measured(a_cell("linformer", batch=8), 0.1)
    found = choose(candidates([here], wanted, VARIANTS, [here, there]), 1024, wanted)
    assert order(found) == ["sdpa", "linformer"]
    refusal = found.evaluations[1].rejection
    assert refusal is not None
    assert refusal.why == "unmeasured"


def test_the_limit_with_the_lowest_probability_binds() -> None:
    found = chosen(GRID, 4096, latency(1.0), memory(9 * MIB))
    assert found.best is not None
    binding = found.best.binding
    assert binding is not None
    assert binding.limit.resource == "memory"


def test_certain_is_only_what_was_measured_and_keeps_every_limit() -> None:
    record = measured(a_cell("sdpa"), 1.0, spread=0.1, count=8)
    (one,) = chosen([record], 1024, latency(1.2)).evaluations
    assert one.certain
    assert one.probability == 0.999
    (one,) = chosen([record], 1024, latency(1.01)).evaluations
    assert one.fits
    assert not one.certain
    single = measured(a_cell("sdpa"), [1.0], count=1)
    assert not chosen([single], 1024, latency(9)).evaluations[0].certain


def test_a_prediction_in_the_profile_has_its_own_band() -> None:
    record = predicted(a_cell("sdpa", 4096), 1.0, band=0.25)
    (one,) = chosen([record], 4096, latency(1.25)).evaluations
    assert one.probability == pytest.approx(0.975, abs=1e-4)
    assert one.estimates["latency"].basis == "predicted"


def test_more_confidence_is_asked_of_every_limit() -> None:
    record = measured(a_cell("sdpa"), 1.0, spread=0.1, count=5)
    for confidence, fits in ((0.5, True), (0.9, False)):
        wanted = Requirements(limits=(latency(1.01),), confidence=confidence)
        (one,) = choose(candidates([record], wanted, VARIANTS), 1024, wanted).evaluations
        assert one.fits is fits


def test_a_percentile_comes_from_the_raw_samples() -> None:
    samples = tuple(1 + place / 100 for place in range(100))
    record = measured(a_cell("sdpa"), 1.0)
    record = replace(record, runs=(replace(record.runs[0], samples=samples),))
    (one,) = chosen([record], 1024, latency(1.97, quantile=0.95)).evaluations
    assert one.estimates["latency"].value == samples[94]
    assert one.fits
    assert not chosen([record], 1024, latency(1.93, quantile=0.95)).best


def test_the_percentile_of_few_samples_is_not_known() -> None:
    record = measured(a_cell("sdpa"), 1.0, count=5)
    (one,) = chosen([record], 1024, latency(2.0, quantile=0.95)).evaluations
    assert one.fits
    assert not one.certain
