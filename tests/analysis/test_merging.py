"""Profiles joined: nothing is lost, nothing counted twice, nothing mixed that differs."""

from typing import Any

import pytest
from msgspec.structs import replace

from effattn_cli.analysis.compare.merging import merge
from effattn_cli.analysis.cost import utilisation
from effattn_cli.errors import UsageError
from effattn_cli.records import Sampling
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
