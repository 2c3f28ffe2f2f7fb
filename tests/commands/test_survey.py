"""The survey's table, and what is counted beside it."""

from pathlib import Path

import pytest

from effattn_cli.analysis.cost.scaling import Scaling
from effattn_cli.catalog import Catalog
from effattn_cli.report.catalog import survey_table
from effattn_cli.run import kept_scaling
from effattn_cli.run.jobs import Reply
from effattn_cli.run.kept_scaling import Kept
from tests.fake_launcher import FakeLauncher
from tests.report.screen import screen

LINFORMER = Catalog().variant("linformer")
SDPA = Catalog().variant("sdpa")
ROWS = 33


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path / "effattn"


def test_every_row_of_the_survey_is_there_with_what_it_prints() -> None:
    found = [Catalog().variant(name) for name in Catalog().names()]
    assert sum(item.card.survey is not None for item in found) == ROWS
    scaling = Scaling(flops=1.004, memory=0.94)
    lines = screen(survey_table.table(found, {"linformer": scaling}), width=80).splitlines()
    assert max(map(len, lines)) <= 80
    (row,) = (line.split() for line in lines if line.startswith("linformer "))
    assert row == ["linformer", "N", "no", "LR", "N^1.00", "N^0.94", "no"]


def test_growth_is_counted_at_two_lengths() -> None:
    assert kept_scaling.of(FakeLauncher(), LINFORMER) == Scaling(flops=1.0, memory=1.0)
    assert kept_scaling.of(FakeLauncher(), SDPA) == Scaling(flops=2.0, memory=1.0)
    assert kept_scaling.of(FakeLauncher(lambda job: Reply(exit=-9)), SDPA) is None


def test_what_was_counted_is_kept_for_the_same_code_and_version() -> None:
    scaling = Scaling(flops=1.0, memory=0.94)
    Kept.read("1").add(LINFORMER, scaling)
    assert Kept.read("1").find(LINFORMER) == scaling
    assert Kept.read("2").find(LINFORMER) is None
    assert Kept.read("1").find(SDPA) is None


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": {"flops": "x"}}', "[" * 10_000])
def test_a_file_that_something_else_has_written_is_no_harm(folder: Path, text: str) -> None:
    folder.mkdir(parents=True)
    (folder / "growth.json").write_text(text)
    assert Kept.read("1").find(LINFORMER) is None
