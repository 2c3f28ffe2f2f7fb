"""Profiles joined: nothing is lost, nothing counted twice, nothing mixed that differs."""

from typing import Any

import pytest
from msgspec.structs import replace

from effattn_cli.analysis.compare.merging import merge, missing
from effattn_cli.analysis.cost import utilisation
from effattn_cli.errors import UsageError
from effattn_cli.records import Cell, Profile, Sampling, Shard
from tests.builders import (
    a_cell,
    a_machine,
    a_profile,
    a_variant,
    failed,
    measured,
    pending,
    predicted,
)


def test_shards_are_joined() -> None:
    one = a_profile(measured(a_cell("sdpa"), 1.0), baseline="sdpa")
    two = a_profile(measured(a_cell("linformer"), 2.0), baseline=None, finished=False)
    found = merge([two, one], "effattn merge")
    assert {record.cell.label for record in found.records} == {"sdpa", "linformer"}
    assert set(found.variants) == {"sdpa", "linformer"}
    assert (found.baseline, found.finished, found.command) == ("sdpa", False, "effattn merge")


def test_the_rooflines_of_all_are_kept() -> None:
    wide, narrow = (replace(utilisation.ANY, dtype=dtype) for dtype in ("float32", "bfloat16"))
    one = a_profile(measured(a_cell(), 1.0), rooflines=(wide,))
    two = a_profile(measured(a_cell(dtype="bfloat16"), 1.0), rooflines=(narrow,))
    assert set(merge([one, two, one], "").rooflines) == {wide, narrow}


def test_rounds_of_the_same_cell_are_joined_and_the_same_round_counts_once() -> None:
    one, two = (a_profile(measured(a_cell(), [seconds])) for seconds in (1.0, 2.0))
    found = merge([one, two, one], "")
    assert [part.median for part in found.records[0].runs] == [1.0, 2.0]


@pytest.mark.parametrize("turned", [False, True])
def test_what_says_more_of_a_cell_stays(turned: bool) -> None:
    cells = [a_cell("sdpa", seq) for seq in (1, 2, 3)]
    one = a_profile(measured(cells[0], 1.0), failed(cells[1], "timeout"), predicted(cells[2], 1.0))
    two = a_profile(failed(cells[0], "out-of-memory"), pending(cells[1]), pending(cells[2]))
    found = merge([two, one] if turned else [one, two], "")
    assert [record.status for record in found.records] == ["measured", "failed", "predicted"]
    assert found.records[0].warnings == ("in another of the merged profiles: out-of-memory",)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"machine": a_machine(cpu="another")}, "cpu: a CPU against another"),
        ({"machine": a_machine(torch="2.14.0")}, "torch: 2.13.0 against 2.14.0"),
        ({"machine": a_machine(environment={"OMP_NUM_THREADS": "1"})}, "environment: none against"),
        ({"variants": {"sdpa": a_variant("sdpa", code="0")}}, "code of sdpa"),
        ({"sampling": Sampling(precision=0.5)}, "precision: 0.02 against 0.5"),
    ],
)
def test_what_differs_is_refused(facts: dict[str, Any], message: str) -> None:
    one = a_profile(measured(a_cell(), 1.0))
    with pytest.raises(UsageError, match="cannot merge the profiles 1 and 2") as caught:
        merge([one, replace(one, **facts)], "")
    assert message in str(caught.value)


def test_load_and_the_number_of_rounds_may_differ() -> None:
    one = a_profile(measured(a_cell(), 1.0))
    other = replace(one, machine=a_machine(load=9.0), sampling=Sampling(rounds=9))
    assert len(merge([one, other], "").records) == 1


def test_a_limit_that_only_one_profile_knows_keeps_none_apart() -> None:
    old = a_profile(measured(a_cell(), 1.0))
    new = replace(old, machine=a_machine(allowed_cores=2.0, blas="mkl", accelerator_watts=700.0))
    assert len(merge([old, new], "").records) == 1
    less = replace(old, machine=a_machine(allowed_cores=1.5))
    with pytest.raises(UsageError, match=r"allowed cores: 2 against 1.5"):
        merge([new, less], "")


def a_shard(
    number: int, *cells: Cell, borrowed: bool, of: int = 2, seconds: float = 1.0
) -> Profile:
    shard = Shard(number=number, of=of, cells=4, sentinel=a_cell("sdpa"), borrowed=borrowed)
    return a_profile(*(measured(cell, seconds) for cell in cells), shard=shard)


@pytest.mark.parametrize("turned", [False, True])
def test_a_sentinel_counts_where_it_is_beside_its_block(turned: bool) -> None:
    home = a_shard(1, a_cell("sdpa"), a_cell("linformer"), borrowed=False)
    guest = a_shard(
        2, a_cell("sdpa"), a_cell("sdpa", 64), a_cell("linformer", 64), borrowed=True, seconds=2.0
    )
    found = merge([guest, home] if turned else [home, guest], "")
    sentinel = next(r for r in found.records if r.cell == a_cell("sdpa"))
    assert (len(found.records), sentinel.runs) == (4, home.records[0].runs)
    assert found.shard is None


def test_without_its_block_a_borrowed_sentinel_stays() -> None:
    one, two = (a_shard(number, a_cell("sdpa"), borrowed=True) for number in (2, 3))
    assert len(merge([one, two], "").records) == 1


def test_a_copy_of_a_shard_is_that_shard() -> None:
    one = a_shard(2, a_cell("sdpa"), borrowed=True)
    assert merge([one], "").shard == one.shard
    assert merge([one, one], "").shard == one.shard


def test_the_cells_stand_as_in_a_sweep_whatever_the_order_of_the_shards() -> None:
    one = a_shard(1, a_cell("sdpa"), a_cell("linformer"), borrowed=False)
    two = a_shard(2, a_cell("sdpa", 64), a_cell("linformer", 64), borrowed=False)
    cells = [record.cell for record in merge([one, two], "").records]
    expected = [("sdpa", 64), ("sdpa", 1024), ("linformer", 64), ("linformer", 1024)]
    assert [(cell.label, cell.seq) for cell in cells] == expected


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ((1, 2, 3, 4), []),
        ((1, 3, 4), ["shard 2 of 4 is missing"]),
        ((2,), ["shards 1, 3, 4 of 4 are missing"]),
    ],
)
def test_shards_that_are_missing_are_told(there: tuple[int, ...], said: list[str]) -> None:
    shards = [a_shard(number, a_cell("sdpa"), borrowed=True, of=4) for number in there]
    assert list(missing([*shards, a_profile(measured(a_cell(), 1.0))])) == said
