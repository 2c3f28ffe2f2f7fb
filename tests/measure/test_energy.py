"""Energy from counters that a test can turn."""

from pathlib import Path

import pytest

from effattn_cli.measure import energy
from effattn_cli.measure.energy import Meter


def counter(folder: Path, *joules: float) -> None:
    for number, amount in enumerate(joules):
        package = folder / f"intel-rapl:{number}"
        package.mkdir(exist_ok=True)
        (package / "energy_uj").write_text(f"{amount * 1e6:.0f}\n")


def test_all_packages_are_read(tmp_path: Path) -> None:
    counter(tmp_path, 10, 5.5)
    read = energy._rapl(tmp_path)
    assert read is not None
    assert read() == 15.5
    counter(tmp_path, 12, 5.5)
    assert read() == 17.5


def test_nothing_is_said_where_nothing_counts(tmp_path: Path) -> None:
    assert energy._rapl(tmp_path) is None
    (tmp_path / "intel-rapl:0").mkdir()
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("locked")
    assert energy._rapl(tmp_path) is None


@pytest.mark.parametrize(
    ("drawn", "elapsed", "joules"),
    [
        (30.0, 2.0, 2.0),  # 10 W of it for nothing
        (10.0, 2.0, 0.0),
        (30.0, 0.1, None),  # less than a step of the counter
        (-5.0, 2.0, None),  # it began anew
    ],
)
def test_what_idling_draws_is_taken_off(
    monkeypatch: pytest.MonkeyPatch, drawn: float, elapsed: float, joules: float | None
) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 100.0 + elapsed)
    meter = Meter(read=lambda: 7.0 + drawn, idle=5.0, begun=100.0, at_start=7.0)
    assert meter.joules(10) == (joules if joules is None else pytest.approx(joules))


def test_the_idle_device_is_watched_first(monkeypatch: pytest.MonkeyPatch) -> None:
    times, amounts = iter([1.0, 1.2]), iter([50.0, 53.0])
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr(energy, "_counter", lambda _: lambda: next(amounts))
    meter = Meter.start("cpu")
    assert meter is not None
    assert meter.idle == pytest.approx(15)
    assert meter.at_start == 53.0
