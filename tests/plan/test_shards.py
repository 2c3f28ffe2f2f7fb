"""The parts of a sweep for several machines."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effattn_cli.catalog import Catalog
from effattn_cli.errors import UsageError
from effattn_cli.plan.cells import plan
from effattn_cli.plan.request import merged
from effattn_cli.plan.shards import parse, sharded
from effattn_cli.plan.sweep_plan import Plan
from effattn_cli.records import Cell, Sampling

CATALOG = Catalog()


def planned(variants: tuple[str, ...] = ("linformer",), **options: Any) -> Plan:
    flags = {"variant": variants, "device": "cpu", **options}
    return plan(merged(flags, {}), CATALOG, cores=2)


def parts(whole: Plan, of: int) -> list[Plan]:
    return [sharded(whole, (number, of), Sampling()) for number in range(1, of + 1)]


def own(part: Plan) -> list[Cell]:
    """The cells of a part without a sentinel that is another's."""
    assert part.shard is not None
    return [c for c in part.cells if not (part.shard.borrowed and c == part.shard.sentinel)]


@settings(deadline=None)
@given(
    variants=st.lists(
        st.sampled_from(["linformer:rank=16,32", "local", "performer", "gqa:kv_heads=2"]),
        min_size=1, max_size=3, unique=True,
    ),
    seq=st.sampled_from(["64", "1k..8k", "64..512:+64"]),
    phase=st.sampled_from(["forward", "forward,train", "decode"]),
    scope=st.sampled_from(["core", "core,layer"]),
    baseline=st.sampled_from(["sdpa", "none"]),
    of=st.integers(1, 12),
)  # fmt: skip
def test_no_cell_is_missing_or_measured_twice_and_no_variant_is_parted_from_its_baseline(
    variants: list[str], seq: str, phase: str, scope: str, baseline: str, of: int
) -> None:
    whole = planned(tuple(variants), seq=seq, phase=phase, scope=scope, baseline=baseline)
    every = parts(whole, of)
    assert Counter(cell for part in every for cell in own(part)) == Counter(whole.cells)
    homes = [{(cell.seq, cell.setting) for cell in own(part)} for part in every]
    assert sum(map(len, homes)) == len(set().union(*homes))
    assert len({part.shard.sentinel for part in every if part.shard}) == 1
    for part in every:
        assert part.shard is not None
        assert part.shard.sentinel in part.cells
        assert list(part.cells) == [cell for cell in whole.cells if cell in part.cells]
        assert (part.shard.cells, part.baseline) == (len(whole.cells), whole.baseline)
    assert every == parts(whole, of)


def test_a_single_shard_is_the_whole_sweep() -> None:
    whole = planned(seq="1k..4k")
    [part] = parts(whole, 1)
    assert part.cells == whole.cells
    assert part.shard is not None
    assert not part.shard.borrowed


def test_parts_are_balanced_by_what_exact_attention_would_take() -> None:
    """The longest length takes more than all the others, and equal settings are dealt evenly."""
    lengths = [{cell.seq for cell in own(part)} for part in parts(planned(seq="1k..8k"), 2)]
    assert lengths == [{8192}, {1024, 2048, 4096}]
    alike = planned(seq="1k", dtype="fp32,bf16,fp16", threads="1,2,4")
    assert [len(own(part)) for part in parts(alike, 4)] == [6, 4, 4, 4]


def test_beyond_the_time_limit_of_a_cell_nothing_gets_longer() -> None:
    """What takes too long is predicted, so a million tokens do not outweigh a sweep."""
    every = parts(planned(seq="64k,128k,256k,512k,1M,2M"), 2)
    assert [len(own(part)) for part in every] == [6, 6]


@pytest.mark.parametrize(
    ("options", "label", "seq"),
    [
        ({"seq": "64..64k"}, "sdpa", 1024),
        ({"seq": "64,128"}, "sdpa", 128),
        ({"seq": "4k..64k"}, "sdpa", 4096),
        ({"seq": "64..64k", "phase": "decode"}, "sdpa", 65536),
        ({"seq": "1k", "baseline": "none"}, "linformer", 1024),
    ],
)
def test_the_sentinel_is_the_cheapest_cell_that_is_not_trivial(
    options: dict[str, Any], label: str, seq: int
) -> None:
    [part] = parts(planned(**options), 1)
    assert part.shard is not None
    assert (part.shard.sentinel.label, part.shard.sentinel.seq) == (label, seq)


def test_a_shard_for_which_nothing_is_left_measures_the_sentinel_and_says_so() -> None:
    *_, last = parts(planned(seq="1k,2k"), 3)
    assert last.shard is not None
    assert last.cells == (last.shard.sentinel,)
    assert last.notes == ("shard 3/3: the sweep has 2 blocks, so only the sentinel is left",)


def test_the_parts_of_a_model_are_sharded() -> None:
    whole = plan(merged({"model": "llama-3-8b", "seq": "1k,2k", "device": "cpu"}, {}), CATALOG, 2)
    every = parts(whole, 3)
    assert Counter(cell for part in every for cell in own(part)) == Counter(whole.cells)
    assert {part.models for part in every} == {whole.models}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2", "'2' is not a shard"),
        ("2/", "'2/' is not a shard"),
        ("-1/2", "'-1/2' is not a shard"),
        ("0/2", "there is no part 0 of 2"),
        ("3/2", "there is no part 3 of 2"),
        ("1/0", "0 parts are out of range"),
        ("1/10001", "10001 parts are out of range"),
    ],
)
def test_what_is_no_shard(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(text)


def test_blanks_do_not_matter() -> None:
    assert parse(" 2 / 8 ") == (2, 8)
