"""What is asked of a GPU's driver, and what is said where it does not answer."""

import os
import sys
from functools import partial

import pytest
import torch

from effattn_cli.devices import energy, fingerprint, nvml
from effattn_cli.machine import Gpu, ThrottleReason
from tests.measure.fake_blocks import FakeNvml, a_gpu, a_process


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    return a_gpu(monkeypatch)


@pytest.mark.parametrize(
    ("bits", "throttle_reasons"),
    [
        (0, ()),
        (1, ()),  # idle
        (1 | 4, ("power cap",)),
        (32 | 64, ("heat",)),
        (8 | 64 | 128, ("heat", "power brake", "hardware slowdown")),
        (2, ("clocks set",)),
        (1 << 40, ()),  # a reason that a later driver may have
    ],
)
def test_why_the_clock_is_held_down(
    driver: FakeNvml, bits: int, throttle_reasons: tuple[ThrottleReason, ...]
) -> None:
    driver.facts["CurrentClocksEventReasons"] = bits
    assert nvml.at_work("cuda", lambda: None, 1.0) == Gpu(
        sm_mhz=1755, celsius=61, throttle_reasons=throttle_reasons
    )


def test_the_driver_is_asked_while_the_gpu_works(
    driver: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    course: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: course.append("waited"))
    monkeypatch.setattr(nvml, "_ask", lambda *what: course.append(what[1]))
    assert nvml.at_work("cuda", lambda: course.append("called"), 1.0) is None
    assert (course[0], course[-1]) == ("called", "waited")
    assert len(course) == 5


@pytest.mark.parametrize("missing", ["CurrentClocksEventReasons", "ClockInfo", "Temperature"])
def test_half_an_answer_is_none(driver: FakeNvml, missing: str) -> None:
    driver.facts[missing] = None
    assert nvml.at_work("cuda", lambda: None, 1.0) is None


def test_a_cpu_has_no_driver_and_pynvml_is_not_loaded_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)  # an import would fail
    assert nvml.at_work("cpu", pytest.fail, 1.0) is None
    assert (nvml.watts("cpu"), nvml.joules("cpu"), nvml.resident("cpu")) == (None, None, None)


def test_a_gpu_that_the_driver_does_not_know_tells_nothing(
    driver: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(_: str) -> str:
        raise driver.NVMLError

    monkeypatch.setattr(driver, "nvmlDeviceGetHandleByUUID", unknown)
    assert nvml.at_work("cuda", lambda: None, 1.0) is None
    assert nvml.max_mhz("cuda") == (None, None)
    assert nvml.watts("cuda") is None


MINE, OTHER = a_process(os.getpid(), 3), a_process(1, 5)


@pytest.mark.parametrize(
    ("processes", "bytes"),
    [
        ([OTHER, MINE], 3),
        ([OTHER], 9 << 20),  # in a container the driver may know it by another number
        ([], 9 << 20),
        ([OTHER, OTHER], None),  # which of them is it?
        ([a_process(os.getpid(), None)], None),  # the driver lists it and knows no more
        (None, None),
    ],
)
def test_whose_memory_it_is(driver: FakeNvml, processes: list[object], bytes: int | None) -> None:
    driver.facts["ComputeRunningProcesses"] = processes
    assert nvml.resident("cuda") == bytes


def test_energy_is_counted_in_joules_below_a_limit_in_watts(driver: FakeNvml) -> None:
    found = energy._counter("cuda")
    assert found is not None
    read, limit = found
    assert (read(), limit) == (5.0, 700.0)
    driver.facts |= {"EnforcedPowerLimit": None, "TotalEnergyConsumption": 6_500}
    assert read() == 6.5
    assert nvml.watts("cuda") is None
    driver.facts["TotalEnergyConsumption"] = None
    assert energy._counter("cuda") is None


def test_the_fingerprint_names_the_gpu_its_clocks_and_its_limit(driver: FakeNvml) -> None:
    found = fingerprint.fingerprint("cuda")
    assert (found.accelerator, found.driver) == ("A GPU", "570.1")
    assert (found.accelerator_sm_mhz, found.accelerator_memory_mhz) == (1980, 2619)
    assert (found.accelerator_memory_bytes, found.accelerator_free_bytes) == (80 << 30, 60 << 30)
    assert found.accelerator_watts == 700.0


def test_short_calls_keep_the_gpu_at_work_while_the_driver_is_asked(driver: FakeNvml) -> None:
    driver.facts["CurrentClocksEventReasons"] = 0
    for seconds, times in ((1e-3, 50), (1e-9, 500), (2.0, 1)):
        calls: list[int] = []
        nvml.at_work("cuda", partial(calls.append, 1), seconds)
        assert len(calls) == times
