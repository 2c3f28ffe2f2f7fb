"""The time of a model from records of its parts, with latencies that are known."""

import math

import pytest
from msgspec.structs import replace

from effattn_cli.analysis.model_time import Times, passes
from effattn_cli.architecture import Layer, Model
from effattn_cli.models.cells import parts
from effattn_cli.models.pieces import dense, softmax
from effattn_cli.records import Profile
from effattn_cli.setting import Setting
from tests.builders import a_profile, measured

DIM = 64
SECONDS = {"layer": 0.010, "mixer": 0.004, "embedding": 0.001, "head": 0.009}
HERE = Setting(phase="decode", dtype="bfloat16", threads=2)


def a_model() -> Model:
    wide = Layer(mixer=softmax(DIM, 4, 4, 16), feed=dense(DIM, 96, "silu", gated=True))
    narrow = replace(wide, feed=dense(DIM, 32, "silu", gated=True))
    layers = (wide, wide, narrow, wide)
    return Model.of(name="m", family="m", dim=DIM, layers=layers, vocab=10, embedding=1, head=1)


def a_profile_of(model: Model, *seqs: int, spread: float = 0.0) -> Profile:
    records = {
        part.cell: measured(part.cell, SECONDS[part.role], spread=spread)
        for seq in seqs
        for part in parts(model, seq, HERE)
    }
    return replace(a_profile(*records.values()), models=(model,))


def test_the_whole_is_the_sum_of_its_parts() -> None:
    (found,) = passes(a_profile_of(a_model(), 1024))
    assert found.seq == 1024
    assert found.total is not None
    assert found.total.value == pytest.approx(4 * 0.010 + 0.001 + 0.009)
    assert found.tokens_per_second == pytest.approx(1 / 0.050)
    assert found.mixing == pytest.approx(4 * 0.004 / 0.050)
    assert found.max_speedup == pytest.approx(1 / (1 - 0.32))
    assert found.total.basis == "measured"


def test_errors_of_one_kind_add_up_and_those_of_several_as_squares() -> None:
    (found,) = passes(a_profile_of(a_model(), 1024, spread=0.1))
    assert found.total is not None
    ups = [
        share.part.count * (share.each.high - share.each.value)
        for share in found.shares
        if share.each is not None
    ]
    assert len(ups) == 4
    assert found.total.high - found.total.value == pytest.approx(math.hypot(*ups))


def test_a_part_that_is_missing_leaves_the_whole_unknown() -> None:
    profile = a_profile_of(a_model(), 1024)
    kept = [record for record in profile.records if record.cell.variant != "lm-head"]
    (found,) = passes(replace(profile, records=tuple(kept)))
    assert found.total is None
    assert [share.part.role for share in found.missing] == ["head"]
    assert found.mixing is found.max_speedup is found.tokens_per_second is None


def test_lengths_between_are_interpolated() -> None:
    profile = a_profile_of(a_model(), 1024, 4096)
    found = Times(profile.records, ()).of_pass(a_model(), 2048, HERE)
    assert found.total is not None
    assert found.total.basis == "interpolated"
    assert found.total.value == pytest.approx(0.050)


def test_another_layout_has_its_own_layers_only() -> None:
    model = a_model()
    other = model.having(name="m, other", layers=model.layers[2:3] * 4)
    found = passes(replace(a_profile_of(model, 1024), models=(model, other)))
    assert [each.model.name for each in found] == ["m", "m, other"]
    assert [share.part.count for share in found[1].shares] == [4, 1, 1]


def test_workspace_is_the_most_of_a_part_and_all_that_training_keeps() -> None:
    model = a_model()
    profile = a_profile_of(model, 1024)
    records = []
    for record in profile.records:
        saved = 1000 if record.cell.setting.scope == "block" else 0
        peak = 5000 if record.cell.variant == "lm-head" else 3000
        assert record.memory is not None
        memory = replace(record.memory, peak_bytes=peak, saved_bytes=saved)
        records.append(replace(record, memory=memory))
    (found,) = passes(replace(profile, records=tuple(records)))
    assert found.workspace == 5000 + 4 * 1000
    lacking = [replace(records[0], memory=None), *records[1:]]
    (found,) = passes(replace(profile, records=tuple(lacking)))
    assert found.workspace is None
