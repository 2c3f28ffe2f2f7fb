"""Energy from counters that a test can turn."""

from pathlib import Path

import pytest

from effattn_cli.devices import energy
from effattn_cli.devices.energy import Meter


def counter(folder: Path, *joules: float) -> None:
    for number, amount in enumerate(joules):
        package = folder / f"intel-rapl:{number}"
        package.mkdir(exist_ok=True)
        (package / "energy_uj").write_text(f"{amount * 1e6:.0f}\n")


def test_all_packages_are_read(tmp_path: Path) -> None:
    counter(tmp_path, 10, 5.5)
    found = energy._rapl(tmp_path)
    assert found is not None
    read, limit = found
    assert read() == 15.5
    assert limit is None
    counter(tmp_path, 12, 5.5)
    assert read() == 17.5


def test_the_board_is_not_counted_beside_its_packages(tmp_path: Path) -> None:
    counter(tmp_path, 10, 40)
    (tmp_path / "intel-rapl:0" / "name").write_text("package-0\n")
    (tmp_path / "intel-rapl:1" / "name").write_text("psys\n")
    found = energy._rapl(tmp_path)
    assert found is not None
    assert found[0]() == 10


def test_nothing_is_said_where_nothing_counts(tmp_path: Path) -> None:
    assert energy._rapl(tmp_path) is None
    (tmp_path / "intel-rapl:0").mkdir()
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("locked")
    assert energy._rapl(tmp_path) is None


def test_the_limit_is_that_of_all_packages_or_none(tmp_path: Path) -> None:
    counter(tmp_path, 10, 10)
    for package, limits in ((0, (65, 117)), (1, (65,))):
        for number, watts in enumerate(limits):
            file = tmp_path / f"intel-rapl:{package}" / f"constraint_{number}_power_limit_uw"
            file.write_text(f"{watts * 10**6}\n")
    assert limit_of(tmp_path) == 117 + 65
    (tmp_path / "intel-rapl:1" / "constraint_0_power_limit_uw").write_text("0\n")
    energy._rapl.cache_clear()
    assert limit_of(tmp_path) is None


def limit_of(folder: Path) -> float | None:
    found = energy._rapl(folder)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    ("limit", "told"), [(None, True), (100.0, True), (92.0, True), (90.0, False), (1.0, False)]
)
def test_more_than_the_device_may_draw_is_no_figure(
    monkeypatch: pytest.MonkeyPatch, limit: float | None, told: bool
) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 101.0)
    meter = Meter(read=lambda: 100.0, idle=0.0, begun=100.0, at_start=0.0, limit=limit)
    assert meter.joules(10, seconds=0.1) == (10.0 if told else None)


@pytest.mark.parametrize(
    ("drawn", "elapsed", "joules"),
    [
        (30.0, 2.0, 2.0),  # 10 W of it for nothing
        (10.0, 2.0, None),  # no more than for nothing
        (30.0, 0.1, None),  # less than a step of the counter
        (-5.0, 2.0, None),  # it began anew
    ],
)
def test_what_idling_draws_is_taken_off(
    monkeypatch: pytest.MonkeyPatch, drawn: float, elapsed: float, joules: float | None
) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 100.0 + elapsed)
    meter = Meter(read=lambda: 7.0 + drawn, idle=5.0, begun=100.0, at_start=7.0)
    assert meter.joules(10, elapsed / 10) == (joules if joules is None else pytest.approx(joules))


def test_the_idle_device_is_watched_first(monkeypatch: pytest.MonkeyPatch) -> None:
    times, amounts = iter([1.0, 1.2]), iter([50.0, 53.0])
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr(energy, "_counter", lambda _: (lambda: next(amounts), 65.0))
    meter = Meter.start("cpu")
    assert meter is not None
    assert meter.idle == pytest.approx(15)
    assert (meter.at_start, meter.limit) == (53.0, 65.0)
