"""The choice against brute force, and what must hold whatever the numbers are."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from effattn_cli.analysis.selection import spans
from effattn_cli.analysis.selection.candidates import Limit, Requirements, candidates
from effattn_cli.analysis.selection.evidence import NOTHING, Evidence, Finding, Task
from effattn_cli.analysis.selection.ordering import Preference
from effattn_cli.analysis.selection.ranking import Choice, choose
from effattn_cli.cards import Option, Variant
from effattn_cli.metrics import LATENCY, MEMORY, percentile
from effattn_cli.records import Record, Scores
from tests.analysis.grids import CURVES, LRA, SEQS, SWAPS, grid, variants
from tests.builders import a_card, a_cell, a_variant, failed, measured, predicted

MIB = 2**20
PREFERENCES: tuple[Preference, ...] = ("quality", "speed", "memory")
VARIANTS = variants()
GRID = grid(noise=0.05)


def latency(maximum: float, quantile: float | None = None) -> Limit:
    metric = LATENCY if quantile is None else percentile(quantile)
    return Limit(metric=metric, max=maximum)


def memory(maximum: float) -> Limit:
    return Limit(metric=MEMORY, max=maximum)


def chosen(
    records: Sequence[Record],
    seq: int,
    *limits: Limit,
    prefer: Preference = "quality",
    scores: Mapping[str, float] | None = None,
    known: Mapping[str, Variant] | None = None,
    evidence: Evidence = NOTHING,
    limited: Mapping[Task, float] | None = None,
    **needs: Any,
) -> Choice:
    wanted = Requirements(limits=limits, evidence=limited or {}, **needs)
    own = None if scores is None else Scores(of="accuracy", values=scores)
    found = candidates(records, wanted, known or VARIANTS, scores=own, evidence=evidence)
    return choose(found, seq, wanted, prefer)


def order(choice: Choice) -> list[str]:
    return [one.label for one in choice.evaluations]


def fitting(choice: Choice) -> set[str]:
    return {one.label for one in choice.evaluations if one.fits}


def finding(task: Task, value: float, half: float = 0.0, seq: int = 1024) -> Finding:
    low = max(0.0, value - half)
    return Finding(task=task, value=value, low=low, high=value + half, seq=seq, source="here")


def recalls(pairs: int) -> Finding:
    return finding("recall", pairs)


def off_by(error: float, half: float = 0.0, seq: int = 1024) -> Finding:
    return finding("fidelity", error, half, seq)


class Found(NamedTuple):
    """What brute force reads of a record."""

    name: str
    time: float
    size: int
    intervals: Mapping[str, tuple[float, float]]

    @property
    def adoption(self) -> tuple[object, ...]:
        """Exact, then what keeps the weights, then what something is known of, then the faster."""
        swap = SWAPS.get(self.name, "trained")
        known = swap == "trained" and self.name in LRA
        rank = ("exact", "lossy", "trained").index(swap)
        return rank, swap != "exact" and not known, self.time, self.size


def read(record: Record) -> Found | None:
    if record.memory is None:
        return None
    time = sorted(sorted(r.samples)[3] / 2 + sorted(r.samples)[4] / 2 for r in record.runs)[1]
    known = {"speed": LATENCY.read(record), "memory": MEMORY.read(record)}
    intervals = {name: (one.low, one.high) for name, one in known.items() if one is not None}
    return Found(record.cell.variant, time, record.memory.peak_bytes, intervals)


def brute_force(seq: int, seconds: float, size: float, prefer: Preference) -> str | None:
    """By its own reading of the records and of the rules, nothing of `choose` in it."""
    everything = [read(record) for record in GRID if record.cell.seq == seq]
    fits = [one for one in everything if one and one.time <= seconds and one.size <= size]
    exact = [one for one in fits if SWAPS.get(one.name) == "exact"]
    if prefer != "quality":
        end = min((one.intervals[prefer][1] for one in fits), default=0.0)
        left = [one for one in fits if one.intervals[prefer][0] <= end]
    elif exact:
        left = exact
    else:
        scores = {one.name: LRA[one.name] for one in fits if one.name in LRA}
        scores = {name: score for name, score in scores.items() if name not in SWAPS}
        best = max(scores.values(), default=0.0)
        left = [one for one in fits if scores.get(one.name, best) >= best - 2]
    return min(left, key=lambda one: one.adoption).name if left else None


BUDGETS = st.tuples(
    st.sampled_from(SEQS), st.floats(1e-5, 20.0), st.floats(1e5, 1e11), st.sampled_from(PREFERENCES)
)


@settings(max_examples=1000)
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
    assert loose.best is not None or tight.best is None


SCORES = st.dictionaries(st.sampled_from(sorted(CURVES)), st.floats(0, 100), min_size=1)


@given(BUDGETS, SCORES, st.data(), st.floats(0, 50))
def test_a_better_score_never_lowers_a_rank(
    budget: tuple[int, float, float, Preference],
    scores: dict[str, float],
    data: st.DataObject,
    more: float,
) -> None:
    name = data.draw(st.sampled_from(sorted(scores)))
    seq, seconds, size, prefer = budget
    asked = (GRID, seq, latency(seconds), memory(size))
    before = chosen(*asked, prefer=prefer, scores=scores)
    after = chosen(*asked, prefer=prefer, scores=scores | {name: scores[name] + more})
    assert order(after).index(name) <= order(before).index(name)


@given(BUDGETS, st.sampled_from(sorted(LRA)), st.floats(0, 10))
def test_a_better_published_score_never_lowers_a_rank(
    budget: tuple[int, float, float, Preference], name: str, more: float
) -> None:
    seq, seconds, size, prefer = budget
    asked = (GRID, seq, latency(seconds), memory(size))
    card = replace(VARIANTS[name].card, lra=LRA[name] + more)
    known = {**VARIANTS, name: replace(VARIANTS[name], card=card)}
    before, after = (chosen(*asked, prefer=prefer, known=some) for some in (VARIANTS, known))
    assert order(after).index(name) <= order(before).index(name)


@given(BUDGETS, st.permutations(sorted(CURVES)))
def test_a_tie_stays_a_tie_when_names_are_swapped(
    budget: tuple[int, float, float, Preference], names: list[str]
) -> None:
    """Nothing but the order of what is equal in everything depends on a name."""
    seq, seconds, size, prefer = budget
    new = dict(zip(sorted(CURVES), names, strict=True))
    renamed = [replace(r, cell=replace(r.cell, variant=new[r.cell.variant])) for r in GRID]
    known = {new[name]: replace(variant, name=new[name]) for name, variant in VARIANTS.items()}
    limits = (latency(seconds), memory(size))
    before = chosen(GRID, seq, *limits, prefer=prefer)
    after = chosen(renamed, seq, *limits, prefer=prefer, known=known)
    assert after.tied == {new[name] for name in before.tied}
    assert [new[one.label] for one in before.fitting] == [one.label for one in after.fitting]


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
    found = chosen(GRID, 1024, latency(1.0))
    assert order(found)[:2] == ["sdpa", "softmax"]
    assert found.tied == {"softmax"}


def test_by_speed_and_memory_no_kind_comes_first() -> None:
    assert order(chosen(GRID, 65536, prefer="speed"))[0] == "linformer"
    assert order(chosen(GRID, 65536, prefer="memory"))[0] == "sdpa"


def test_a_published_score_decides_only_by_more_than_it_is_unsure_of() -> None:
    found = chosen(GRID, 65536, latency(1.0), weights="train")
    # 53.5, and what nothing is known of; 51.4 to 50.7, the fastest first
    assert order(found)[:5] == ["longformer", "plugin", "linformer", "performer", "reformer"]
    assert found.tied == {"plugin"}


def test_of_a_lossy_swap_a_published_score_says_nothing() -> None:
    found = chosen(GRID, 65536, latency(1.0))
    assert order(found)[:3] == ["performer", "longformer", "plugin"]
    assert found.tied == {"longformer", "plugin"}


def test_ones_own_scores_decide_of_exact_attention_too() -> None:
    scores = {"sdpa": 80.0, "linformer": 81.0, "performer": 79.0}
    found = chosen(GRID, 1024, latency(1.0), scores=scores)
    assert order(found)[:4] == ["linformer", "sdpa", "softmax", "performer"]  # one function
    without = chosen(GRID, 1024, latency(1.0), scores={"linformer": 81.0})
    assert order(without)[:3] == ["sdpa", "softmax", "linformer"]


def test_what_only_claims_to_be_exact_does_not_come_first() -> None:
    card = a_card("exact", swap="exact")
    mine = a_variant("mine", card=card, origin="mine.py", path="mine.py")
    records = [*grid([1024]), measured(a_cell("mine"), 1e-6)]
    found = chosen(records, 1024, latency(1.0), known={**VARIANTS, "mine": mine})
    assert order(found)[:3] == ["sdpa", "softmax", "mine"]
    assert not found.evaluations[2].candidate.quality.exact
    exactly = chosen(records, 1024, latency(1.0), known={**VARIANTS, "mine": mine}, exact=True)
    assert fitting(exactly) == {"sdpa", "softmax"}


def test_what_was_measured_of_the_quality_keeps_off_what_is_worse_in_it() -> None:
    wanted = Requirements()

    def front(evidence: Evidence) -> set[str]:
        found = candidates(GRID, wanted, VARIANTS, evidence=evidence)
        return {one.label for one in choose(found, 65536, wanted, "speed").front}

    assert "reformer" not in front({})
    assert "reformer" in front({"reformer": [recalls(32)], "linformer": [recalls(8)]})


#: As many of the variants as can be keep the weights.
LOSSY = {
    name: replace(v, card=replace(v.card, swap="lossy")) if name in LRA else v
    for name, v in VARIANTS.items()
}
#: Of approximations: what is off by nothing was none, and says nothing of more tokens.
ERRORS = st.dictionaries(
    st.sampled_from(sorted(LRA)), st.tuples(st.floats(0.01, 1.2), st.floats(0, 0.3)), min_size=1
)


@settings(max_examples=300)
@given(BUDGETS, ERRORS, st.data(), st.floats(0.05, 1), st.sampled_from(["any", "keep"]))
def test_a_smaller_error_never_lowers_a_rank(
    budget: tuple[int, float, float, Preference],
    errors: dict[str, tuple[float, float]],
    data: st.DataObject,
    less: float,
    weights: str,
) -> None:
    name = data.draw(st.sampled_from(sorted(errors)))
    seq, seconds, size, prefer = budget
    asked = (GRID, seq, latency(seconds), memory(size))
    found = {label: [off_by(*error)] for label, error in errors.items()}
    error, half = errors[name]
    better = found | {name: [off_by(error * less, half * less)]}
    before, after = (
        chosen(*asked, prefer=prefer, known=LOSSY, evidence=some, weights=weights)
        for some in (found, better)
    )
    assert order(after).index(name) <= order(before).index(name)


@given(BUDGETS, ERRORS, st.floats(0, 1), st.floats(0, 1), st.integers(1, 64), st.integers(1, 64))
def test_a_looser_limit_of_the_quality_never_removes_a_choice(
    budget: tuple[int, float, float, Preference],
    errors: dict[str, tuple[float, float]],
    error: float,
    other: float,
    pairs: int,
    more: int,
) -> None:
    seq, seconds, size, prefer = budget
    asked = (GRID, seq, latency(seconds), memory(size))
    evidence = {label: [off_by(*some), recalls(16)] for label, some in errors.items()}

    def choice(limits: Mapping[Task, float]) -> Choice:
        return chosen(*asked, prefer=prefer, known=LOSSY, evidence=evidence, limited=limits)

    tight = choice({"fidelity": min(error, other), "recall": max(pairs, more)})
    loose = choice({"fidelity": max(error, other), "recall": min(pairs, more)})
    assert fitting(tight) <= fitting(loose)


@given(BUDGETS, ERRORS, st.permutations(sorted(CURVES)))
def test_a_tie_in_errors_stays_one_when_names_are_swapped(
    budget: tuple[int, float, float, Preference],
    errors: dict[str, tuple[float, float]],
    names: list[str],
) -> None:
    seq, seconds, size, prefer = budget
    new = dict(zip(sorted(CURVES), names, strict=True))
    renamed = [replace(r, cell=replace(r.cell, variant=new[r.cell.variant])) for r in GRID]
    known = {new[name]: replace(variant, name=new[name]) for name, variant in LOSSY.items()}
    limits = (latency(seconds), memory(size))
    found = {label: [off_by(*error)] for label, error in errors.items()}
    moved = {new[label]: some for label, some in found.items()}
    before = chosen(GRID, seq, *limits, prefer=prefer, known=LOSSY, evidence=found)
    after = chosen(renamed, seq, *limits, prefer=prefer, known=known, evidence=moved)
    assert after.tied == {new[name] for name in before.tied}
    assert [new[one.label] for one in before.fitting] == [one.label for one in after.fitting]


def test_the_measured_error_settles_a_tie_of_what_keeps_the_weights() -> None:
    asked = (GRID, 65536, latency(1.0))
    lossy = {"performer": [off_by(0.3, 0.02)], "longformer": [off_by(0.1, 0.02)]}
    found = chosen(*asked, known=LOSSY, evidence=lossy, weights="keep")
    # of linformer and reformer nothing is known: they may be as good, and come after what is
    assert order(found)[:4] == ["longformer", "linformer", "reformer", "performer"]
    unsure = {"performer": [off_by(0.12, 0.03)], "longformer": [off_by(0.1, 0.02)]}
    close = chosen(*asked, known=LOSSY, evidence=unsure, weights="keep")
    assert order(close)[:2] == ["performer", "longformer"]  # a tie goes to the faster
    assert "longformer" in close.tied


def test_an_error_in_fewer_tokens_is_not_known_to_be_as_small_in_more() -> None:
    evidence = {"performer": [off_by(0.1, 0.02)], "longformer": [off_by(0.3, 0.02, 16384)],
                "linformer": [off_by(0.4, 0.02)]}  # fmt: skip
    found = chosen(GRID, 65536, latency(1.0), known=LOSSY, evidence=evidence, weights="keep")
    # of reformer nothing is known; what may be as good comes before what surely is not
    assert order(found)[:4] == ["performer", "longformer", "reformer", "linformer"]
    assert found.tied == {"longformer", "reformer"}


def test_errors_are_compared_at_a_length_that_all_have() -> None:
    evidence = {"performer": [off_by(0.3, 0.02)],
                "longformer": [off_by(0.1, 0.02), off_by(0.4, 0.2, 16384)]}  # fmt: skip
    found = chosen(GRID, 65536, latency(0.3), known=LOSSY, evidence=evidence, weights="keep")
    assert order(found)[0] == "longformer"
    assert "performer" not in found.tied


def test_what_makes_the_weights_useless_comes_after_what_must_be_trained() -> None:
    asked = (GRID, 65536, latency(1.0))
    evidence = {"performer": [off_by(0.9, 0.1)]}
    assert order(chosen(*asked, evidence={}))[0] == "performer"
    assert order(chosen(*asked, evidence=evidence))[:2] == ["longformer", "plugin"]
    kept = chosen(*asked, evidence=evidence, weights="keep")
    assert fitting(kept) == {"performer"}


def test_an_error_says_nothing_of_what_is_trained() -> None:
    asked = (GRID, 65536, latency(1.0))
    evidence = {"longformer": [off_by(0.9)], "performer": [off_by(0.1)]}
    before = chosen(*asked, known=LOSSY, weights="train")
    after = chosen(*asked, known=LOSSY, weights="train", evidence=evidence)
    assert before.best is not None
    assert after.best is not None
    assert after.best.label == before.best.label
    assert after.tied == before.tied


def test_limits_of_the_quality_need_evidence() -> None:
    asked = (GRID, 1024, latency(1.0))
    evidence = {
        "performer": [off_by(0.04, 0.005), recalls(32)],
        "longformer": [off_by(0.049, 0.01)],
    }
    near = chosen(
        *asked, known=LOSSY, evidence=evidence, weights="keep", limited={"fidelity": 0.05}
    )
    assert fitting(near) == {"sdpa", "softmax", "performer"}
    lost = {one.label: one.rejection for one in near.evaluations if one.rejection is not None}
    assert lost["longformer"].finding is not None  # its interval goes beyond the limit
    assert lost["reformer"].finding is None
    assert {lost["longformer"].why, lost["reformer"].why} == {"fidelity"}
    able = chosen(*asked, known=LOSSY, evidence=evidence, limited={"recall": 32})
    assert fitting(able) == {"performer"}  # of exact attention too it must be known


def test_the_evidence_of_the_nearest_length_counts() -> None:
    evidence = {"performer": [off_by(0.01, seq=1024), off_by(0.2, seq=16384)]}
    for seq, fits in ((2048, True), (8192, False)):
        found = chosen(
            GRID, seq, latency(1.0), known=LOSSY, evidence=evidence, limited={"fidelity": 0.05}
        )
        assert ("performer" in fitting(found)) is fits


def test_what_sees_next_to_nothing_is_no_attention() -> None:
    card = a_card("own mechanism", reach=("taps",))
    taps = Option(name="taps", type="int", default=3)
    known = {"conv": a_variant("conv", card=card, options=(taps,))}
    records = [measured(a_cell(label), 1.0) for label in ("conv", "conv:taps=64")]
    found = chosen(records, 1024, latency(2.0), known=known)
    assert fitting(found) == {"conv:taps=64"}
    assert [one.rejection.why for one in found.evaluations if one.rejection] == ["narrow"]


def test_what_must_be_trained_does_not_keep_the_weights() -> None:
    found = chosen(GRID, 1024, latency(1.0), weights="keep")
    assert fitting(found) == {"sdpa", "softmax", "performer"}
    whys = {one.rejection.why for one in found.evaluations if one.rejection is not None}
    assert whys == {"weights"}


def test_what_shortens_the_sequence_is_no_attention() -> None:
    card = replace(VARIANTS["linformer"].card, shortens="always")
    known = {**VARIANTS, "linformer": replace(VARIANTS["linformer"], card=card)}
    found = chosen(GRID, 1024, latency(1.0), known=known)
    refusal = next(one.rejection for one in found.evaluations if one.label == "linformer")
    assert refusal is not None
    assert refusal.why == "place"


def test_kv_heads_that_are_not_the_models_are_not_exact() -> None:
    card = a_card("exact", swap="exact", own_kv_heads=True)
    known = {"gqa": a_variant("gqa", card=card)}
    for heads, exact in ((None, False), (2, True)):
        found = chosen([measured(a_cell("gqa", kv_heads=heads), 1.0)], 1024, known=known)
        assert found.evaluations[0].candidate.quality.exact is exact


def test_other_options_have_no_published_score() -> None:
    records = [
        measured(a_cell(label), t) for label, t in (("linformer", 2), ("linformer:rank=8", 1))
    ]
    assert order(chosen(records, 1024, latency(3))) == ["linformer", "linformer:rank=8"]
    fast = chosen(records, 1024, latency(3), prefer="speed")
    assert order(fast) == ["linformer:rank=8", "linformer"]
    assert not fast.dominated  # of the smaller rank nothing is known


def test_one_variant_for_many_lengths_fits_at_each() -> None:
    choices = [chosen(GRID, seq, latency(0.1)) for seq in SEQS]
    single = spans.over(choices)
    assert single.best is not None
    assert all(single.best.label in {one.label for one in choice.fitting} for choice in choices)
    assert choices[0].best is not None
    assert choices[0].best.label == "sdpa" != single.best.label
    tight = [chosen(GRID, seq, latency(2e-3)) for seq in SEQS]
    assert spans.over(tight).best is None
    far = spans.farthest(tight)
    assert far is not None
    ends = {name: len(spans.reaches(tight, name)) for name in CURVES}
    assert ends[far.label] == max(ends.values())


@pytest.mark.parametrize(
    ("needs", "why"),
    [({"decode": True}, "decode"), ({"causal": True}, "causal"), ({"padding": True}, "padding"),
     ({"exact": True}, "exact"), ({"weights": "keep"}, "weights")],
)  # fmt: skip
def test_a_hard_need_that_is_not_met_is_the_reason(needs: Mapping[str, Any], why: str) -> None:
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


@pytest.mark.parametrize(
    ("needs", "tasks"),
    [
        ({}, {"fidelity", "recall", "update"}),
        ({"weights": "keep"}, {"fidelity"}),
        ({"weights": "keep", "evidence": {"recall": 8}}, {"fidelity", "recall"}),
    ],
)
def test_what_tiny_models_learn_says_nothing_of_weights_that_are_kept(
    needs: dict[str, Any], tasks: set[Task]
) -> None:
    findings = [off_by(0.1), recalls(8), finding("update", 8)]
    evidence = {record.cell.label: findings for record in GRID}
    for one in candidates(GRID, Requirements(**needs), LOSSY, evidence=evidence):
        assert {found.task for found in one.findings} == tasks
