"""`effattn devices`: measured on this machine, kept, and used by the next sweep."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from effattn_cli.records import Roofline
from effattn_cli.report.catalog import machine_view
from effattn_cli.run import kept_rooflines
from effattn_cli.run.jobs import Job, MeasureRoofline, Reply
from tests.builders import a_machine, a_profile
from tests.fake_launcher import FakeLauncher
from tests.report.screen import screen
from tests.running import alone


@pytest.mark.slow  # half a minute; CI's main job measures a roofline too
def test_what_is_measured_is_kept_and_used(tmp_path: Path) -> None:
    here: dict[str, Any] = {"XDG_DATA_HOME": str(tmp_path)}
    first = alone("devices", "--json", "-d", "cpu", **here)
    assert first.returncode == 0, first.stderr
    told = json.loads(first.stdout)["rooflines"]
    assert {item["dtype"] for item in told} == {"float32", "bfloat16"}
    for item in told:
        assert item["exponentials"] > 0
        # without bfloat16 instructions its products are slower than its exponentials
        assert item["flops"] > (item["exponentials"] if item["dtype"] == "float32" else 0)
        assert len(item["bandwidths"]) > 2
    again = alone("devices", "-d", "cpu", **here)
    assert "bfloat16" in again.stdout
    assert max(map(len, again.stdout.splitlines())) <= 80
    sweep = ["profile", "-v", "linformer", "-s", "256", "--rounds", "1", "-d", "cpu", "--json"]
    swept = alone(*sweep, **here)
    (used,) = json.loads(swept.stdout)["rooflines"]
    (known,) = [item for item in told if item["dtype"] == "float32"][:1]
    if not known["doubts"] and not used["raised"]:  # what is doubtful is not kept
        assert used == known
    else:
        assert (used["dtype"], used["threads"]) == (known["dtype"], known["threads"])


def test_what_is_doubtful_is_told_and_not_kept(mine: tuple[Roofline, ...]) -> None:
    doubtful = replace(mine[0], flops=1.0, doubts=("its passes differ by 40 %",))
    told = kept_rooflines.keep(a_profile(machine=a_machine()), (doubtful,))
    assert told.rooflines == (doubtful,)
    assert kept_rooflines.kept(a_machine()) == mine
    text = screen(machine_view.shown(told.machine, told.rooflines), 80)
    assert "! cpu float32, 2 threads: its passes differ by 40 %." in " ".join(text.split())


def test_a_cell_that_beats_one_raises_what_is_kept(mine: tuple[Roofline, ...]) -> None:
    higher = replace(mine[0], flops=2 * mine[0].flops, raised=("sdpa at 4k was faster",))
    elsewhere = replace(higher, dtype="bfloat16")
    kept_rooflines.keep_raised(a_profile(machine=a_machine(), rooflines=(higher, elsewhere)))
    assert kept_rooflines.kept(a_machine()) == (higher,)


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Roofline, ...]:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    found = kept_rooflines.measure(FakeLauncher(), "cpu", "float32", 2)
    kept_rooflines.keep(a_profile(machine=a_machine()), found)
    return found


def test_it_is_kept_for_the_same_machine_only(mine: tuple[Roofline, ...]) -> None:
    assert kept_rooflines.kept(a_machine()) == mine
    assert kept_rooflines.kept(a_machine(load=0.7)) == mine
    for change in ({"torch": "2.14.0"}, {"cores": 4}, {"environment": {"OMP_NUM_THREADS": "1"}}):
        assert kept_rooflines.kept(a_machine(**change)) == ()


def test_a_later_one_takes_the_place_of_an_earlier_one(mine: tuple[Roofline, ...]) -> None:
    later = kept_rooflines.measure(FakeLauncher(), "cpu", "float32", 2)
    other = kept_rooflines.measure(FakeLauncher(), "cpu", "bfloat16", 2)
    kept_rooflines.keep(a_profile(machine=a_machine()), (*later, *other))
    assert kept_rooflines.kept(a_machine()) == (*later, *other)


def test_a_device_that_cannot_is_left_out() -> None:
    launcher = FakeLauncher(trouble=lambda job: Reply(exit=1))
    assert kept_rooflines.measure(launcher, "cpu", "float16", 2) == ()
    request = MeasureRoofline(device="cpu", dtype="float16", threads=2)
    assert launcher.jobs == [Job(request=request)]
