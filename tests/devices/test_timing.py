"""Blocks of calls on an accelerator whose time a test decides."""

import pytest
import torch

from effattn_cli.devices import timing


class Device:
    """Notes what is given to it; its events say how much work lay before them, in milliseconds."""

    def __init__(self) -> None:
        self.course: list[str] = []
        self.now = 0.0

    def work(self, name: str, milliseconds: float) -> None:
        self.course.append(name)
        self.now += milliseconds

    def event(self, *_: object, enable_timing: bool) -> "Event":
        assert enable_timing
        return Event(self)


class Event:
    def __init__(self, device: Device) -> None:
        self.device = device
        self.at = 0.0

    def record(self) -> None:
        self.at = self.device.now

    def synchronize(self) -> None:
        self.device.course.append("waited")

    def elapsed_time(self, other: "Event") -> float:
        return other.at - self.at


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    device = Device()
    monkeypatch.setattr(torch, "Event", device.event)
    return device


def test_a_block_is_waited_for_once_and_each_of_its_calls_is_timed(device: Device) -> None:
    lengths = iter([2.0, 3.0, 4.0])
    found = timing.block("cuda", lambda: device.work("call", next(lengths)))(3)
    assert found.seconds == pytest.approx([0.002, 0.003, 0.004])
    assert device.course == ["call", "call", "call", "waited"]


def test_what_runs_before_a_call_is_not_timed(device: Device) -> None:
    call, before = (lambda: device.work("call", 2.0)), (lambda: device.work("before", 50.0))
    assert timing.block("cuda", call, before)(2).seconds == pytest.approx([0.002, 0.002])
    assert device.course == ["before", "call", "before", "call", "waited"]


def test_the_launch_is_what_the_cpu_takes(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0, 7_000, 100_000, 109_000])
    monkeypatch.setattr("time.perf_counter_ns", lambda: next(ticks))
    found = timing.block("cuda", lambda: device.work("call", 2.0))(2)
    assert found.launches == pytest.approx([7e-6, 9e-6])


def test_a_cpu_launches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0, 3_000, 5_000, 9_000])
    monkeypatch.setattr("time.perf_counter_ns", lambda: next(ticks))
    assert timing.block("cpu", lambda: None)(2) == timing.Times([3e-6, 4e-6], [])
    monkeypatch.setattr("time.perf_counter_ns", iter([0, 8_000]).__next__)
    assert timing.timer("cpu")(lambda: None) == 8e-6


@pytest.mark.parametrize(("known", "size"), [({"L2_cache_size": 50}, 100), ({}, 256 << 20)])
def test_a_cache_is_overwritten_by_twice_its_size(
    monkeypatch: pytest.MonkeyPatch, known: dict[str, int], size: int
) -> None:
    properties = type("Properties", (), known)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    sizes: list[int] = []

    def empty(count: int, *, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        sizes.append(count * dtype.itemsize)
        return torch.ones(1)

    monkeypatch.setattr(torch, "empty", empty)
    assert timing.overwriting("cuda")().item() == 0
    assert sizes == [size]
