"""Requests: what a config file says, what flags say, and which of them wins."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from effattn_cli.errors import UsageError
from effattn_cli.plan.config_file import from_file
from effattn_cli.plan.request import OPTIONS, Request, merged, sampling
from effattn_cli.records import Sampling


def write(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_every_option(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        variant: [linformer:rank=64, "!sdpa"]
        family: kernel
        seq: 1k..8k,!4k
        batch: [1, 8]
        tokens: 32k
        device: cpu
        dtype: [fp32, bf16]
        threads: 1
        phase: forward
        scope: core
        causal: yes
        padding: [0, 0.25]
        dim: 1024
        heads: 16
        kv-heads: 4
        head_dim: 64
        feed: swiglu:2048
        norm: rms
        like: gpt2
        model: llama-3-8b
        replace: full=kda
        keep: 1/4
        engine: eager
        alloc: default
        cache: [warm, cold]
        baseline: no
        time-limit: 1:30
        time-budget: 010
        memory-limit: 2 GiB
        precise: yes
        rounds: 5
        precision: 0.01
        seed: 7
        plugin: mine.py
        """,
    )
    found = from_file(path)
    assert found == {
        "variant": ("linformer:rank=64", "!sdpa"), "family": ("kernel",),
        "seq": "1k..8k,!4k", "batch": "1,8",
        "tokens": "32k", "device": "cpu", "dtype": "fp32,bf16", "threads": "1",
        "phase": "forward", "scope": "core", "causal": "yes", "padding": "0,0.25", "dim": "1024",
        "heads": "16", "kv_heads": "4", "head_dim": "64", "feed": "swiglu:2048", "norm": "rms",
        "like": "gpt2", "model": "llama-3-8b", "replace": ("full=kda",), "keep": "1/4",
        "engine": "eager",
        "alloc": "default", "cache": "warm,cold", "baseline": "no", "time_limit": "1:30",
        "time_budget": "010", "memory_limit": "2 GiB", "precise": True, "rounds": 5,
        "precision": "0.01", "seed": 7, "plugin": ("mine.py",),
    }  # fmt: skip
    assert set(found) == set(OPTIONS)
    assert merged({}, found).axes["kv_heads"] == "4"


@pytest.mark.parametrize("text", ["", "# nothing", "like: null\nthreads: ~\nkv-heads:\n"])
def test_what_is_not_given_is_left_out(tmp_path: Path, text: str) -> None:
    assert merged({}, from_file(write(tmp_path, text))) == Request()


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("sequ: 1k", "unknown option 'sequ'", "did you mean 'seq'?"),
        ("kvheads: 1", "unknown option 'kvheads'", "did you mean 'kv-heads'?"),
        ("seq: {from: 1k}", "seq: expected text, got a mapping", None),
        ("seq:", "seq: expected text, got nothing", None),
        ("seq: [1k, [2k]]", "line 1: lists and mappings nest too deep", None),
        ("seq: [1k, '']", "seq[1]: expected text, got nothing", None),
        ("tokens: [1k, 2k]", "tokens: expected text, got a list", None),
        ("rounds: many", "rounds: expected a whole number, got 'many'", None),
        ("seed: 7.0", "seed: expected a whole number, got '7.0'", None),
        ("seed: null", "seed: expected a whole number, got 'null'", None),
        ("precision: [2%]", "precision: expected text, got a list", None),
        ("precise: maybe", "precise: expected true or false, got 'maybe'", None),
        ("variant: {a: b}", "variant: expected text, or a list of it, got a mapping", None),
        ("kv-heads: 1\nkv_heads: 2", "kv_heads: given twice", None),
        ("[seq]", "expected options, like 'seq: 1k..16k', one a line", None),
        ("[a]: b", "expected text, got a list", None),
        ("seq: 1k\nvariant: !sdpa", "line 2: no aliases, anchors or tags here",
         "put quotes around a word that starts with *, & or !"),
        ("seq: &a 1k\ntokens: *a", "line 1: no aliases, anchors or tags here",
         "put quotes around a word that starts with *, & or !"),
        ("variant: *former", "line 1: no aliases, anchors or tags here",
         "put quotes around a word that starts with *, & or !"),
    ],
)  # fmt: skip
def test_says_what_is_wrong(tmp_path: Path, text: str, says: str, hint: str | None) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        from_file(path)
    assert str(caught.value) == f"{path}: {says}"
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seq: [1k", "not YAML: "),
        ("seq: 1k\n---\nseq: 2k", "not YAML: "),
        ("\a", "not YAML: "),
        ("[" * 500_000, "line 1: lists and mappings nest too deep"),
        ("- " * 300_000, "line 1: lists and mappings nest too deep"),
        ("seq: 1k\n" + "#" * 2**20, "larger than 1 MiB"),
    ],
)
def test_says_what_is_no_config(tmp_path: Path, text: str, says: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        from_file(path)
    assert str(caught.value).startswith(f"{path}: {says}")
    assert "\n" not in str(caught.value)


def test_a_missing_file() -> None:
    with pytest.raises(UsageError, match=r"^there is no file 'none\.yaml'$"):
        from_file(Path("none.yaml"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.text(), st.text("abdimseq: -[]{}'\"&*!|>\n\t1k,", max_size=60)))
def test_any_text_gives_options_or_an_error_for_the_user(tmp_path: Path, text: str) -> None:
    try:
        found = from_file(write(tmp_path, text.encode("utf-8", "replace").decode()))
    except UsageError:
        return
    assert set(found) <= set(OPTIONS)


def test_flags_win_over_the_file() -> None:
    flags = {"seq": "2k", "variant": (), "plugin": ["a.py"], "causal": False, "dim": None}
    config = {"seq": "1k", "variant": ("local",), "causal": True, "dim": 64}
    assert merged(flags, config) == Request(
        seq="2k", variant=("local",), plugin=("a.py",), axes={"causal": "no", "dim": "64"}
    )


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("rounds", 0, "--rounds: 0 is out of range, from 1 to 100"),
        ("seed", -1, "--seed: -1 is out of range, from 0 to 9223372036854775807"),
    ],
)
def test_numbers_have_ranges(option: str, value: Any, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        merged({option: value}, {})
    assert str(caught.value) == says


def test_sampling_has_the_same_defaults() -> None:
    assert sampling(Request()) == Sampling()


def test_precise_is_a_default_that_can_be_overruled() -> None:
    assert sampling(Request(precise=True)) == Sampling(rounds=10, precision=0.01)
    assert sampling(Request(precise=True, rounds=4)) == Sampling(rounds=4, precision=0.01)


@pytest.mark.parametrize("share", ["60%", "0.6", "0", "0.05%"])
def test_a_precision_has_its_range(share: str) -> None:
    says = f"^--precision: '{share}' is out of range, from 0.1% to 50%$"
    with pytest.raises(UsageError, match=says):
        sampling(Request(precision=share))


def test_sampling_reads_units() -> None:
    request = Request(
        time_limit="5s", time_budget="1h", memory_limit="2GB", rounds=1, precision="10%", seed=3
    )
    assert sampling(request) == Sampling(
        time_limit=5.0, time_budget=3600.0, memory_limit=2 * 10**9, rounds=1, precision=0.1, seed=3
    )


@pytest.mark.parametrize("option", ["time_limit", "time_budget", "memory_limit"])
def test_sampling_names_the_option(option: str) -> None:
    says = f"^--{option.replace('_', '-')}: 'long' is no "
    with pytest.raises(UsageError, match=says):
        sampling(merged({option: "long"}, {}))
