"""A GPU and its driver, as torch and NVML show them, with nothing behind."""

import os
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from effattn_cli.devices import nvml


class NVMLError(Exception):
    pass


class FakeNvml:
    """Stands in for the module `pynvml`. What is None in it the driver does not support."""

    NVMLError = NVMLError
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0
    nvmlClocksEventReasonGpuIdle = 1
    nvmlClocksEventReasonApplicationsClocksSetting = 2
    nvmlClocksEventReasonSwPowerCap = 4
    nvmlClocksEventReasonHwSlowdown = 8
    nvmlClocksEventReasonSyncBoost = 16
    nvmlClocksEventReasonSwThermalSlowdown = 32
    nvmlClocksEventReasonHwThermalSlowdown = 64
    nvmlClocksEventReasonHwPowerBrakeSlowdown = 128
    nvmlClocksEventReasonDisplayClockSetting = 256

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {
            "CurrentClocksEventReasons": 0,
            "ClockInfo": {1: 1755},
            "Temperature": {0: 61},
            "MaxClockInfo": {1: 1980, 2: 2619},
            "EnforcedPowerLimit": 700_000,
            "TotalEnergyConsumption": 5_000,
            "ComputeRunningProcesses": [a_process(os.getpid(), 3 << 20)],
            "MemoryInfo": SimpleNamespace(used=9 << 20),
        }

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("nvmlDeviceGet"):
            raise AttributeError(name)
        return lambda handle, *kind: self._tell(name.removeprefix("nvmlDeviceGet"), handle, *kind)

    def _tell(self, name: str, handle: str, *kind: int) -> Any:
        assert handle == "GPU-1234"
        found = self.facts[name]
        if found is None:
            raise NVMLError("not supported")
        return found[kind[0]] if kind else found

    def nvmlInit(self) -> None: ...  # noqa: N802

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        return uuid

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "570.1"


def a_process(pid: int, used: int | None) -> SimpleNamespace:
    return SimpleNamespace(pid=pid, usedGpuMemory=used)


def a_gpu(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    """Makes torch and NVML tell of one GPU until the test ends."""
    driver = FakeNvml()
    properties = SimpleNamespace(
        name="A GPU", uuid="1234", total_memory=80 << 30, L2_cache_size=50 << 20
    )
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (60 << 30, 80 << 30))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: None)
    nvml._handle.cache_clear()
    monkeypatch.setattr(nvml, "_handle", nvml._handle.__wrapped__)
    return driver
