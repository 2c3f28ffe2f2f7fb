"""The cells that a request stands for."""

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from effattn_cli.catalog import Catalog
from effattn_cli.errors import UsageError
from effattn_cli.host import processor
from effattn_cli.plan.cells import plan
from effattn_cli.plan.request import merged
from effattn_cli.plan.sweep_plan import Plan
from effattn_cli.records import Cell
from effattn_cli.setting import Setting

CATALOG = Catalog()


def planned(*variants: str, **options: Any) -> Plan:
    request = merged({"variant": variants, "device": "cpu", **options}, {})
    made = plan(request, CATALOG, cores=2)
    return made.placed({name: name for name in made.devices})


def error(*variants: str, **options: Any) -> tuple[str, str | None]:
    with pytest.raises(UsageError) as caught:
        planned(*variants, **options)
    return str(caught.value), caught.value.hint


def test_a_plain_request() -> None:
    made = planned("linformer", seq="1k,2k")
    assert made == Plan(
        cells=tuple(
            Cell(variant=name, seq=seq, setting=Setting(threads=2))
            for name in ("sdpa", "linformer")
            for seq in (1024, 2048)
        ),
        baseline="sdpa",
    )


def test_the_axes_multiply() -> None:
    made = planned(
        "linformer:rank=32,64",
        device="cpu,cuda:0,cpu",
        seq="64,128",
        batch="1..4",
        dtype="fp32,half,float32",
        threads="1,4",
        phase="forward,train",
        scope="core,layer",
        padding="0.5,0",
        causal=True,
        engine="compile",
        alloc="default",
    )
    axes = itertools.product(
        ("sdpa:", "linformer:rank=32", "linformer:rank=64"), (64, 128), ("forward", "train"),
        ("core", "layer"), (0.0, 0.5), (1, 2, 4), ("float32", "float16"), ("cpu", "cuda:0"), (1, 4),
    )  # fmt: skip
    found = [
        (c.label if c.options else f"{c.variant}:", c.seq, at.phase, at.scope, at.padding,
         at.batch, at.dtype, at.device, at.threads)
        for c in made.cells
        for at in [c.setting]
    ]  # fmt: skip
    assert found == list(axes)
    assert {(c.setting.causal, c.setting.engine, c.setting.alloc) for c in made.cells} == {
        (True, "compile", "default")
    }


def test_the_baseline_is_measured_once() -> None:
    assert [c.label for c in planned("sdpa,linformer,sdpa", seq="1k").cells] == [
        "sdpa",
        "linformer",
    ]
    made = planned("linformer", baseline="sdpa:backend=math", seq="1k")
    assert made.baseline == "sdpa:backend=math"
    assert [c.label for c in made.cells] == ["sdpa:backend=math", "linformer"]


def test_without_a_baseline_or_without_variants() -> None:
    made = planned("linformer", baseline="none", seq="1k")
    assert (made.baseline, [c.variant for c in made.cells]) == (None, ["linformer"])
    hint = "--variant linformer, say; `effattn variants` lists them"
    assert error() == error(baseline="none") == ("no variant is named", hint)


def test_a_feed_forward_is_measured_in_a_block_with_the_baseline_beside_it() -> None:
    made = planned("linformer,glam,gshard", seq="1k")
    assert [(c.label, c.setting.scope) for c in made.cells] == [
        ("sdpa", "core"), ("sdpa", "block"),
        ("linformer", "core"), ("glam", "block"), ("gshard", "block"),
    ]  # fmt: skip
    assert made.notes == (
        "glam, gshard replace the feed-forward: measured at scope block, beside the baseline there",
    )
    assert planned("glam", seq="1k", scope="block").notes == ()
    alone = planned("glam", seq="1k", baseline="none", scope="core,layer,block")
    assert [c.setting.scope for c in alone.cells] == ["block"]
    assert alone.notes[0].startswith("glam replaces the feed-forward")


def test_the_whole_survey_is_one_sweep() -> None:
    cells = planned("survey", seq="1k").cells
    feeds = {c.variant for c in cells if CATALOG.variant(c.variant).card.kind == "feed-forward"}
    assert feeds == {c.variant for c in cells if c.setting.scope == "block"} - {"sdpa"}


def test_a_feed_forward_is_a_baseline_of_blocks_only() -> None:
    why = "--baseline: glam replaces the feed-forward, a core has none"
    assert error("linformer", baseline="glam") == (why, "give --scope block")
    made = planned("linformer", baseline="glam", scope="block", seq="1k")
    assert [(c.variant, c.setting.scope) for c in made.cells] == [
        ("glam", "block"),
        ("linformer", "block"),
    ]


def test_widths_given_inline_are_the_cells_own_and_the_baselines() -> None:
    made = planned("linformer:dim=256,heads=4", "linformer", seq="1k")
    assert [(c.label, c.setting.dim, c.setting.heads) for c in made.cells] == [
        ("sdpa", 256, 4),
        ("sdpa", 512, 8),
        ("linformer", 256, 4),
        ("linformer", 512, 8),
    ]
    assert planned("linformer:dim=256", seq="1k") == planned("linformer", dim=256, seq="1k")
    assert planned("linformer:head_dim=64", seq="1k") == planned("linformer", seq="1k")


def test_kv_heads_given_inline_leave_the_baseline_alone() -> None:
    made = planned("sdpa:kv-heads=1,8", seq="1k", kv_heads=8)
    assert [(c.label, c.setting.kv_heads) for c in made.cells] == [
        ("sdpa", 8),
        ("sdpa:kv_heads=1", 8),
    ]


def test_like_fills_what_is_not_given(tmp_path: Path) -> None:
    def widths(**options: Any) -> tuple[Any, ...]:
        cell = planned("sdpa", seq="1k", **options).cells[0]
        return cell.setting.dim, cell.setting.heads, cell.setting.kv_heads, cell.setting.head_dim

    assert widths(like="llama-3-8b") == (4096, 32, 8, None)
    assert widths(like="qwen3-0.6b") == (1024, 16, 8, 128)
    assert widths(like="bert-base") == (768, 12, None, None)
    assert widths(like="llama-3-8b", kv_heads=4, dim=512) == (512, 32, 4, 128)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "gpt2", "n_embd": 512, "n_head": 8}))
    assert widths(like=str(path)) == (512, 8, None, None)
    assert widths(like="gpt2", dim=512, heads=8) == (512, 8, None, None)


def test_constant_tokens() -> None:
    made = planned("linformer", seq="1k..8k", tokens="4k")
    assert {(c.seq, c.setting.batch) for c in made.cells} == {(1024, 4), (2048, 2), (4096, 1)}
    assert made.notes == ("lengths above --tokens 4096 are left out: 8192",)
    assert planned("sdpa", seq="1..9:+1", tokens="2").notes == (
        "lengths above --tokens 2 are left out: 3, 4, 5, 6, 7, ...",
    )
    assert planned("sdpa", seq="3k", tokens="32k").cells[0].setting.batch == 10


def test_an_accelerators_cache_may_be_cold_a_cpus_in_decoding() -> None:
    made = planned("sdpa", seq="1k", device="cuda", cache="cold,warm")
    assert [cell.setting.cache for cell in made.cells] == ["cold", "warm"]
    made = planned("sdpa", seq="1k", device="cpu", cache="cold,warm", phase="decode")
    assert [cell.setting.cache for cell in made.cells] == ["cold", "warm"]
    with pytest.raises(UsageError, match="--cache cold: a CPU's caches are left cold in decoding"):
        planned("sdpa", device="cuda,cpu", cache="warm,cold")


@pytest.mark.parametrize(
    ("cache", "options", "expected"),
    [
        (2**25, {}, {"decode": {"cold"}, "forward": {"warm"}}),
        (2**40, {}, {"decode": {"warm"}, "forward": {"warm"}}),  # it holds the model
        (2**25, {"cache": "warm"}, {"decode": {"warm"}, "forward": {"warm"}}),
        (2**25, {"device": "cuda"}, {"decode": {"warm"}, "forward": {"warm"}}),
    ],
)
def test_steps_of_a_model_are_cold_where_it_is_larger_than_the_caches(
    monkeypatch: pytest.MonkeyPatch,
    cache: int,
    options: dict[str, str],
    expected: dict[str, set[str]],
) -> None:
    monkeypatch.setattr(processor, "cache_bytes", lambda: cache)
    cells = planned(model="gpt2", seq="1k", phase="forward,decode", **options).cells
    found: dict[str, set[str]] = {}
    for cell in cells:
        found.setdefault(cell.setting.phase, set()).add(cell.setting.cache)
    assert found == expected


def test_a_decoding_step_is_causal() -> None:
    made = planned("sdpa", seq="1k", phase="decode,forward")
    assert [(c.setting.phase, c.setting.causal) for c in made.cells] == [
        ("decode", True),
        ("forward", False),
    ]


@pytest.mark.parametrize(
    ("options", "says", "hint"),
    [
        ({"phase": "fwd"}, "unknown phase 'fwd'", "did you mean 'forward'?"),
        ({"scope": "core,layers"}, "unknown scope 'layers'", "did you mean 'layer'?"),
        ({"dtype": "bf-16"}, "unknown dtype 'bf-16'", "did you mean 'bf16'?"),
        ({"alloc": "retain"}, "unknown alloc 'retain'", "did you mean 'retained'?"),
        ({"cache": "hot"}, "unknown cache 'hot'", "valid: cold, warm"),
        ({"device": "cpu,gpu"}, "unknown device 'gpu'", "did you mean 'cuda'?"),
        ({"device": "GPU:1"}, "unknown device 'GPU:1'", "did you mean 'cuda:1'?"),
        ({"device": "cuda:x"}, "unknown device 'cuda:x'", "did you mean 'cuda:0'?"),
        ({"baseline": "sdp"}, "unknown variant 'sdp'", "did you mean 'sdpa'?"),
        ({"baseline": "sdpa,linformer"},
         "--baseline: 'sdpa,linformer' stands for 2 variants, name one", None),
        ({"baseline": "sdpa:dim=64"},
         "--baseline: its dim is that of the variants compared with it", None),
        ({"tokens": "4k", "batch": "1"}, "--batch and --tokens exclude one another",
         "with --tokens the batch is tokens / length"),
        ({"tokens": "512"}, "--tokens: 512 is below the shortest length, 1024", None),
        ({"tokens": "4k,8k"}, "--tokens: '4k,8k' stands for 2 values, give one", None),
        ({"batch": "2M"}, "--batch: '2M' is out of range, the values go from 1 to 1048576", None),
        ({"threads": "0"}, "--threads: '0' is out of range, the values go from 1 to 4096", None),
        ({"seq": "64k..1k"}, "--seq: '64k..1k' runs backwards, a range goes from low to high",
         "did you mean '1k..64k'?"),
        ({"dim": "wide"},
         "--dim: 'wide' is neither a number (512, 4k) nor a range (1k..64k, 1k..64k:x4)",
         None),
        ({"dim": "0"}, "--dim: '0' is out of range, the values go from 1 to 2147483648", None),
        ({"causal": "maybe"}, "--causal: expected yes or no, got 'maybe'", None),
        ({"padding": "1"}, "--padding: '1' is not a valid share (examples: 5%, 0.05;"
         " from 0 to below 1)", None),
        ({"dim": 100}, "dim 100 is not a multiple of 8 heads",
         "give --head-dim, or another --dim or --heads"),
        ({"kv_heads": 3}, "8 heads are not a multiple of 3 kv heads", None),
        ({"seq": "1..4000:+1"},
         "the sweep has 12,000 cells, more than 10,000: --seq alone has 4,000 values", None),
        ({"seq": "1..9000:+1", "batch": "1..9000:+1", "padding": "0,.1,.2"},
         "the sweep has 729,000,000 cells, more than 10,000: --seq alone has 9,000 values", None),
    ],
)  # fmt: skip
def test_says_what_is_wrong(options: dict[str, Any], says: str, hint: str | None) -> None:
    assert error("linformer:rank=32,64", **options) == (says, hint)


def test_inline_widths_have_to_fit_too() -> None:
    assert error("linformer:heads=7")[0] == "dim 512 is not a multiple of 7 heads"
    assert error("sdpa:kv_heads=3")[0] == "8 heads are not a multiple of 3 kv heads"


@given(
    st.lists(st.sampled_from(["linformer", "linformer:rank=8,16", "sdpa:kv_heads=1,2",
                              "local:dim=256", "sdpa", "local:heads=4,dim=64", "glam"]),
             min_size=1),
    st.sampled_from(["1k..4k", "3,1,2", "4k"]),
    st.sampled_from([{}, {"tokens": "4k"}, {"batch": "1,2"}]),
    st.sampled_from(["forward", "train,decode"]),
)  # fmt: skip
def test_beside_each_cell_stands_the_baselines(
    variants: list[str], seq: str, sizes: dict[str, Any], phase: str
) -> None:
    made = planned(*variants, seq=seq, phase=phase, **sizes)
    cells = set(made.cells)
    assert len(cells) == len(made.cells)
    for cell in made.cells:
        assert replace(cell, variant="sdpa", options={}) in cells
    for _, line in itertools.groupby(
        made.cells, key=lambda c: (c.label, c.setting.dim, c.setting.heads, c.setting.scope)
    ):
        seqs = [cell.seq for cell in line]
        assert seqs == sorted(seqs)


def test_planning_imports_nothing_heavy() -> None:
    program = """
import sys
from effattn_cli.catalog import Catalog
from effattn_cli.plan.request import merged
from effattn_cli.plan.cells import plan
plan(merged({"variant": ("all",)}, {}), Catalog(), cores=1)
print([name for name in ("torch", "numpy", "rich", "typer", "pydantic") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
