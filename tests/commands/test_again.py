"""A saved sweep once more, a part of it, and its options in a file."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from effattn_cli import store
from effattn_cli.analysis.completeness import TOO_LATE
from effattn_cli.catalog import Catalog
from effattn_cli.errors import UsageError
from effattn_cli.plan import config_file
from effattn_cli.plan.cells import plan
from effattn_cli.plan.config_of_cells import options_of
from effattn_cli.plan.request import merged
from effattn_cli.records import Prediction, Profile, Record
from tests.builders import a_cell, a_profile, pending
from tests.running import effattn

SHAPE = "--dim 64 --heads 2 --threads 1 --precision 0.5 --rounds 2 --seed 7".split()
SWEEP = ["profile", "-v", "linformer:rank=16", "-s", "64,128", "--quiet", *SHAPE]


pytestmark = pytest.mark.xdist_group("again")  # in one worker: the sweep behind is made once


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "p.yaml"
    found = effattn(*SWEEP, "-o", str(path))
    assert found.returncode == 0, found.stderr
    return path


def planned(options: dict[str, object]) -> Profile:
    request = merged(options, {})
    wanted = plan(request, Catalog(), cores=2)
    records = [pending(cell) for cell in wanted.placed({"auto": "cpu", "cpu": "cpu"}).cells]
    return a_profile(*records, baseline=wanted.baseline)


@pytest.mark.parametrize(
    "options",
    [
        {"variant": ("linformer:rank=64,128", "local"), "seq": "1k..4k"},
        {"variant": ("gated-deltanet",), "phase": "forward,decode", "causal": "yes,no"},
        {"variant": ("linformer",), "tokens": "8k", "seq": "1k..4k", "dtype": "bf16,fp32"},
        {"variant": ("sdpa",), "scope": "core,block", "feed": "swiglu:256", "kv_heads": "4"},
        {"variant": ("local",), "baseline": "none", "padding": "0,0.25", "threads": "1,2"},
    ],
)
def test_the_options_of_a_profile_plan_its_cells(options: dict[str, object]) -> None:
    profile = planned(options)
    again = planned(options_of(profile, Catalog()))
    assert {r.cell for r in again.records} == {r.cell for r in profile.records}
    assert again.baseline == profile.baseline


def test_cells_that_are_no_grid_have_no_options() -> None:
    cells = [a_cell("sdpa", 1024), a_cell("sdpa", 2048, batch=2)]
    with pytest.raises(UsageError, match="no full grid") as wrong:
        options_of(a_profile(*map(pending, cells), pending(a_cell("sdpa", 4096))), Catalog())
    assert "--again" in (wrong.value.hint or "")


@pytest.mark.in_ci
def test_a_saved_sweep_is_measured_again(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "again.yaml"
    found = effattn("profile", "--again", str(saved), "-q", "-o", str(path))
    assert found.returncode == 0, found.stderr
    old, new = store.read(saved), store.read(path)
    assert (new.command, new.sampling, new.baseline) == (old.command, old.sampling, old.baseline)
    assert [r.cell for r in new.records] == [r.cell for r in old.records]
    assert all(a.runs != b.runs for a, b in zip(old.records, new.records, strict=True))


def test_again_takes_a_part_and_other_rounds(saved: Path) -> None:
    words = ["profile", "--again", str(saved), "-s", "64", "--rounds", "1", "--json", "-q"]
    document = json.loads(effattn(*words).stdout)
    cells = [record["cell"] for record in document["records"]]
    assert {cell["seq"] for cell in cells} == {64}
    assert {cell["variant"] for cell in cells} == {"sdpa", "linformer"}
    assert [len(record["runs"]) for record in document["records"]] == [1, 1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--again", "FILE", "--dim", "32"], "cannot be combined with --dim"),
        (["--again", "FILE", "-v", "linformr"], "did you mean 'linformer'?"),
        (["--again", "FILE", "-s", "32"], "valid: 64, 128"),
        (["--resume", "FILE", "--seed", "3"], "cannot be combined with --seed"),
        (["--resume", "FILE", "--rounds", "1"], "the sweep has 2 already"),
        (["--resume", "FILE", "--save-config", "c.yaml"], "--save-config cannot be given"),
    ],
)
def test_what_a_saved_sweep_does_not_take(saved: Path, words: list[str], told: str) -> None:
    found = effattn("profile", *(str(saved) if word == "FILE" else word for word in words))
    assert found.returncode == 2
    assert told in found.stderr


def test_resume_adds_rounds_to_a_part(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(saved.read_bytes())
    words = ["profile", "--resume", str(path), "-v", "sdpa", "-s", "64", "--rounds", "3", "-q"]
    found = effattn(*words)
    assert found.returncode == 0, found.stderr
    profile = store.read(path)
    runs = {(r.cell.variant, r.cell.seq): len(r.runs) for r in profile.records}
    assert runs == {
        ("sdpa", 64): 3, ("sdpa", 128): 2, ("linformer", 64): 2, ("linformer", 128): 2,
    }  # fmt: skip


def test_resume_measures_what_a_budget_left_out(saved: Path, tmp_path: Path) -> None:
    whole = store.read(saved)
    *others, last = whole.records
    late = Prediction(seconds=1.0, low=0.5, high=2.0, peak_bytes=None, anchor_seq=64, why=TOO_LATE)
    cut = Record(cell=last.cell, cost=last.cost, prediction=late)
    path = tmp_path / "p.yaml"
    sampling = replace(whole.sampling, time_budget=1e-3)
    store.Writer(path).write(replace(whole, sampling=sampling, records=(*others, cut)))
    told = effattn("crossover", str(path)).stderr
    assert "The time budget of under 1 s ended the sweep: 1 of 4 cells has no run." in told
    found = effattn("profile", "--resume", str(path), "--time-budget", "10m", "-q")
    assert found.returncode == 0, found.stderr
    assert [len(record.runs) for record in store.read(path).records] == [2] * 4


def test_a_config_is_saved_and_is_the_same_sweep(saved: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    words = [*SWEEP, "--dry-run", "--save-config", str(first)]
    assert effattn(*words).returncode == 0
    assert config_file.from_file(first)["variant"] == ("linformer:rank=16",)
    assert "already exists" in effattn(*words).stderr
    found = effattn("profile", "--config", str(saved), "--dry-run", "--save-config", str(second))
    assert found.returncode == 0, found.stderr
    cells = {record.cell for record in store.read(saved).records}
    for path in (first, second):
        wanted = plan(merged({}, config_file.from_file(path)), Catalog(), cores=1)
        assert set(wanted.placed({"auto": "cpu", "cpu": "cpu"}).cells) == cells


def test_cells_measured_before_are_reused_and_say_so(tmp_path: Path) -> None:
    data: Any = {"XDG_DATA_HOME": str(tmp_path)}
    assert effattn(*SWEEP, "-s", "64", **data).returncode == 0
    found = effattn(*SWEEP, "--reuse", "--json", "-o", str(tmp_path / "p.yaml"), **data)
    assert found.returncode == 0, found.stderr
    assert "note: 2 cells reused from " in found.stderr
    records = json.loads(found.stdout)["records"]
    reused = {record["cell"]["seq"] for record in records if "measured before, on" in str(record)}
    assert reused == {64}
    assert all(len(record["runs"]) == 2 for record in records)
    other = effattn(*SWEEP, "--reuse", "--seed", "8", "--dry-run", **data)
    assert "no saved profile has these cells" in other.stderr
