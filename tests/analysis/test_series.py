from typing import Any

from effattn_cli.analysis.series import by_setting
from tests.builders import a_cell, measured


def test_records_that_differ_in_variant_and_length_share_a_series() -> None:
    records = [measured(a_cell(label, seq), 1.0) for seq in (64, 32) for label in ("b", "a")]
    (series,) = by_setting(records)
    assert series.labels == ("b", "a")
    assert series.seqs == (32, 64)
    assert [record.cell.seq for record in series.curve("a")] == [32, 64]
    assert series.find("a", 64) is records[1]
    assert series.find("c", 64) is None


def test_every_other_axis_sets_records_apart() -> None:
    axes: dict[str, Any] = {
        "dim": 64, "heads": 2, "kv_heads": 1, "head_dim": 32, "device": "cuda:0",
        "dtype": "bfloat16", "threads": 8, "phase": "train", "scope": "layer", "causal": True,
        "padding": 0.25, "engine": "compile", "alloc": "default", "cache": "cold", "batch": 2,
    }  # fmt: skip
    cells = [a_cell(), *(a_cell(**{axis: value}) for axis, value in axes.items())]
    found = by_setting([measured(cell, 1.0) for cell in cells])
    assert [len(series.records) for series in found] == [1] * (len(axes) + 1)


def test_options_of_a_variant_do_not() -> None:
    labels = ("linformer:rank=64", "linformer:rank=128")
    (series,) = by_setting([measured(a_cell(label), 1.0) for label in labels])
    assert series.labels == labels


def test_batch_sizes_that_follow_from_the_length_are_one_curve() -> None:
    (series,) = by_setting(
        [measured(a_cell(seq=seq, batch=64 // seq), 1.0) for seq in (16, 32, 64)]
    )
    assert series.setting.batch == 0
    assert series.seqs == (16, 32, 64)


def test_batch_sizes_of_their_own_are_not() -> None:
    cells = [a_cell(seq=seq, batch=batch) for seq in (16, 32) for batch in (1, 2)]
    found = by_setting([measured(cell, 1.0) for cell in cells])
    assert [series.setting.batch for series in found] == [1, 2]
    assert [series.seqs for series in found] == [(16, 32), (16, 32)]
