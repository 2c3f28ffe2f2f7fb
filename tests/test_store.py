# ruff: noqa: E501  the file as it is written
"""Profiles on disk: what goes in comes out, whole or not at all."""

import json
import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from msgspec.structs import replace

from effattn_cli import files, store
from effattn_cli.errors import UsageError
from effattn_cli.machine import Gpu
from effattn_cli.records import Profile, Scores, Usage
from tests.builders import (
    a_card,
    a_cell,
    a_profile,
    a_variant,
    failed,
    measured,
    pending,
    predicted,
)


def a_mixed_profile() -> Profile:
    return a_profile(
        measured(a_cell("linformer:rank=64", 1024), [0.001, 0.0012]),
        predicted(a_cell("sdpa", 65536), 62.1),
        failed(a_cell("sdpa", 2048), "crashed", "the process was killed by signal 11 (SIGSEGV)"),
        pending(a_cell("sdpa", 4096)),
    )


def test_a_profile_comes_back_equal(tmp_path: Path) -> None:
    store.Writer(tmp_path / "p.yaml").write(a_mixed_profile())
    assert store.read(tmp_path / "p.yaml") == a_mixed_profile()


@given(
    label=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    seconds=st.lists(st.floats(1e-9, 1e6), min_size=1, max_size=3),
)
def test_any_text_and_any_number_comes_back_equal(label: str, seconds: list[float]) -> None:
    record = measured(replace(a_cell(), options={"option": label}), seconds, spread=0.0)
    profile = a_profile(record, command=label)
    assert store.parse(store.as_yaml(profile).encode()) == profile


def test_what_was_used_of_a_feed_forward_comes_back(tmp_path: Path) -> None:
    for load in (1.25, None):
        usage = Usage(total_parameters=20, active_parameters=5, dropped=0.125, load=load)
        profile = a_profile(replace(measured(a_cell(), 1e-3), usage=usage))
        store.Writer(tmp_path / f"{load}.yaml").write(profile)
        assert store.read(tmp_path / f"{load}.yaml") == profile


def test_a_hash_that_looks_like_a_number_stays_text() -> None:
    variant = a_variant("sdpa", code="1234567e8901")
    profile = a_profile(measured(a_cell(), 0.001), variants={"sdpa": variant})
    assert store.parse(store.as_yaml(profile).encode()) == profile


def test_a_growing_profile_is_written_as_if_at_once(tmp_path: Path) -> None:
    whole, path = a_mixed_profile(), tmp_path / "p.yaml"
    writer = store.Writer(path)
    for number in range(5):
        writer.write(replace(whole, records=whole.records[:number], finished=number == 4))
    changed = replace(whole.records[3], warnings=("late",))
    writer.write(replace(whole, records=(*whole.records[:3], changed)))
    assert store.read(path).records[3].warnings == ("late",)
    assert os.listdir(tmp_path) == ["p.yaml"]  # noqa: PTH208


def test_the_file_reads_well() -> None:
    text = store.as_yaml(a_mixed_profile())
    assert text.split("records:\n")[1].split("- cell")[1] == snapshot("""\
: {"variant": "linformer", "options": {"rank": 64}, "seq": 1024, "setting": {"phase": "forward", "scope": "core", "causal": false, "padding": 0.0, "dim": 512, "heads": 8, "kv_heads": null, "head_dim": null, "feed": "relu", "norm": "layer", "batch": 1, "dtype": "float32", "engine": "eager", "alloc": "retained", "cache": "warm", "device": "cpu", "threads": 2}}
  cost: {"matmul_flops": 1000000000, "other_flops": 0, "transcendentals": 0, "read_bytes": 8388608, "write_bytes": 4194304, "peak_bytes": 4194304, "operators": 0, "steps": 1, "worst_flops": null}
  memory: {"peak_bytes": 4194304, "input_bytes": 6291456, "weight_bytes": 0, "state_bytes": 0, "saved_bytes": 0, "method": "by hand", "resident_bytes": null, "call_seconds": 0.0}
  runs:
  - {"samples": [0.00099, 0.000995, 0.001, 0.0010049999999999998, 0.00101], "warmup": 3, "first_seconds": 0.001, "stopped": "steady"}
  - {"samples": [0.0011879999999999998, 0.001194, 0.0012, 0.0012059999999999998, 0.001212], "warmup": 3, "first_seconds": 0.0012, "stopped": "steady"}
""")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), st.floats(1e-9, 1e6))
def test_what_is_written_is_yaml_to_every_reader(text: str, seconds: float) -> None:
    record = measured(replace(a_cell(), options={"option": text}), [seconds], spread=0.0)
    written = store.as_yaml(a_profile(record, command=text))
    (found,) = yaml.safe_load(written)["records"]
    assert found["cell"]["options"]["option"] == text
    assert float(found["runs"][0]["samples"][0]) == seconds  # 1e-05 is text in YAML 1.1


OLDER = """\
effattn_profile: 1
created: '2026-01-02T03:04:05+00:00'
command: effattn profile
machine: {effattn: 0.1.0, python: 3.11.9, os: Linux 6.8, torch: 2.13.0, torch_build: cpu, cpu: a CPU, cores: 2, memory_bytes: 17179869184, load: 0.1}
sampling: {rounds: 3}
baseline: sdpa
variants:
  sdpa: {name: sdpa, summary: Exact., decode: true, options: [], origin: bundled, path: variants/sdpa.py, code: 0123456789ab,
    card: {title: SDPA, families: [exact], paper: '', year: 2017, time: N^2, memory: N, causal: optional, kind: exact}}
finished: true
rooflines:
- {device: cpu, dtype: float32, threads: 2, flops: 1.0e+11, exponentials: 1.0e+9, dispatch: 1.0e-06, bandwidths: [{touched: 1, speed: 1.0e+10}]}
records:
- cell: {"variant": "sdpa", "options": {}, "seq": 1024, "batch": 1, "dim": 512, "heads": 8, "device": "cuda", "dtype": "float32", "threads": 2, "phase": "forward", "scope": "core", "causal": false, "padding": 0.0, "compile": true, "alloc": "retained"}
  rounds:
  - {"samples": [0.5, 1.0], "warmup": 3, "first_seconds": 0.001, "stopped": "steady", "foreign_load": 0.5, "contended": [2.0], "gpu": {"sm_mhz": 1200, "celsius": 88, "brakes": ["heat"]}}
"""


def test_a_profile_of_version_1_is_read_under_the_present_names() -> None:
    profile = store.parse(OLDER.encode())
    (record,) = profile.records
    (run,) = record.runs
    assert record.cell == a_cell(device="cuda", engine="compile", cache="warm")
    assert (run.samples, run.background_load, run.discarded) == ((0.5, 1.0), 0.5, (2.0,))
    assert run.gpu == Gpu(sm_mhz=1200, celsius=88, throttle_reasons=("heat",))
    assert profile.rooflines[0].bandwidths[0].working_set_bytes == 1
    assert store.parse(store.as_yaml(profile).encode()) == profile


def test_a_profile_of_version_1_that_was_edited_by_hand_is_read_alike() -> None:
    edited = yaml.safe_dump(yaml.safe_load(OLDER), sort_keys=False)
    assert store.parse(edited.encode()) == store.parse(OLDER.encode())


def test_a_file_that_was_edited_by_hand_is_read() -> None:
    written = store.as_yaml(a_mixed_profile())
    data = yaml.safe_load(written)
    data["records"][0]["warnings"] = ["seen"]
    edited = store.parse(yaml.safe_dump(data).encode())
    assert edited.records[0].warnings == ("seen",)
    assert edited.records[1:] == a_mixed_profile().records[1:]


def test_text_that_is_no_unicode_loses_what_is_none(tmp_path: Path) -> None:
    profile = a_profile(failed(a_cell(), "raised", "caf\udce9"), command="effattn \udcff")
    store.Writer(tmp_path / "p.yaml").write(profile)
    found = store.read(tmp_path / "p.yaml")
    assert found.command == "effattn ?"
    assert found.records[0].failure is not None
    assert found.records[0].failure.message == "caf?"


def test_what_could_not_be_read_again_is_not_measured_first(tmp_path: Path) -> None:
    card = a_card(year="a year")  # a plugin's card is whatever its author wrote
    profile = replace(a_profile(pending(a_cell())), variants={"sdpa": a_variant("sdpa", card=card)})
    with pytest.raises(
        UsageError, match=r"saved: variants.sdpa.card.year: expected a whole number"
    ):
        store.Writer(tmp_path / "p.yaml").write(profile)


def test_a_profile_too_large_to_be_read_again_leaves_the_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = store.Writer(tmp_path / "p.yaml")
    writer.write(a_profile())
    monkeypatch.setattr("effattn_cli.store.reading.MAX_BYTES", 2000)
    with pytest.raises(files.CannotWrite, match="too large to be read again"):
        writer.write(a_mixed_profile())
    assert store.read(tmp_path / "p.yaml") == a_profile()


def test_json_is_one_document() -> None:
    document = json.loads(store.as_json(a_mixed_profile()))
    assert document["records"][0]["cell"]["variant"] == "linformer"


@pytest.mark.parametrize("path", ["missing/p.yaml", "folder"])
def test_a_path_that_cannot_be_written_is_one_line(tmp_path: Path, path: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(files.CannotWrite, match="cannot write"):
        store.Writer(tmp_path / path).write(a_mixed_profile())
    assert list((tmp_path / "folder").iterdir()) == []


def test_a_write_that_fails_leaves_the_earlier_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = store.Writer(tmp_path / "p.yaml")
    writer.write(a_mixed_profile())

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(files.CannotWrite, match="No space left on device"):
        writer.write(a_profile())
    assert store.read(tmp_path / "p.yaml") == a_mixed_profile()
    assert os.listdir(tmp_path) == ["p.yaml"]  # noqa: PTH208


def test_two_writers_of_one_file(tmp_path: Path) -> None:
    with (
        files.locked(tmp_path / "p.yaml"),
        pytest.raises(files.CannotWrite, match="another process does"),
        files.locked(tmp_path / "p.yaml"),
    ):
        pass
    with files.locked(tmp_path / "p.yaml"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_variant_that_was_renamed_since_is_read_under_its_present_name(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    written = a_profile(measured(a_cell("local:window=64"), 1e-3), measured(a_cell(), 1e-3))
    scores = Scores(of="accuracy", values={"local:window=64": 83.0, "sdpa": 84.0})
    store.Writer(path).write(replace(written, baseline="local:window=64", scores=scores))
    found = store.read(path)
    label = "sliding-window:window=64"
    assert [record.cell.label for record in found.records] == [label, "sdpa"]
    assert set(found.variants) == {"sliding-window", "sdpa"}
    assert found.baseline == label
    assert found.scores is not None
    assert found.scores.values == {label: 83.0, "sdpa": 84.0}
