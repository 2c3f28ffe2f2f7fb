"""What NVIDIA's driver says of a GPU, through NVML; None wherever it does not say."""

import os
from functools import cache
from typing import Any

import torch

from effattn_cli.devices.timing import Call
from effattn_cli.machine import Gpu, ThrottleReason

#: The driver's names of its reasons. That it is idle is no reason.
THROTTLE_REASONS: dict[str, ThrottleReason] = {
    "SwPowerCap": "power cap",
    "SwThermalSlowdown": "heat",
    "HwThermalSlowdown": "heat",
    "HwPowerBrakeSlowdown": "power brake",
    "HwSlowdown": "hardware slowdown",
    "SyncBoost": "sync boost",
    "ApplicationsClocksSetting": "clocks set",
    "DisplayClockSetting": "clocks set",
}

ASKING = 0.05  # seconds that the driver may take to answer
MAX_CALLS = 500


def at_work(device: str, call: Call, seconds: float) -> Gpu | None:
    """The GPU while it works on calls of so many seconds, which are not timed: on as many as keep
    it at work while its driver is asked.
    """
    if _handle(device) is None:
        return None
    import pynvml  # noqa: PLC0415

    for _ in range(max(1, min(MAX_CALLS, int(ASKING / max(seconds, 1e-9))))):
        call()
    bits = _ask(device, "CurrentClocksEventReasons")
    mhz = _ask(device, "ClockInfo", pynvml.NVML_CLOCK_SM)
    celsius = _ask(device, "Temperature", pynvml.NVML_TEMPERATURE_GPU)
    torch.cuda.synchronize(device)
    if bits is None or mhz is None or celsius is None:
        return None
    reasons = []
    for name, reason in THROTTLE_REASONS.items():
        if bits & getattr(pynvml, f"nvmlClocksEventReason{name}"):
            reasons.append(reason)
    return Gpu(sm_mhz=mhz, celsius=celsius, throttle_reasons=tuple(dict.fromkeys(reasons)))


def max_mhz(device: str) -> tuple[int | None, int | None]:
    """The highest clocks of the GPU's processors and of its memory."""
    import pynvml  # noqa: PLC0415

    kinds = pynvml.NVML_CLOCK_SM, pynvml.NVML_CLOCK_MEM
    processors, memory = (_ask(device, "MaxClockInfo", kind) for kind in kinds)
    return processors, memory


def watts(device: str) -> float | None:
    """The limit that the driver keeps the GPU's power below."""
    limit = _ask(device, "EnforcedPowerLimit")
    return limit / 1e3 if limit else None


def joules(device: str) -> float | None:
    """What the GPU has drawn since its driver was loaded."""
    total = _ask(device, "TotalEnergyConsumption")
    return None if total is None else total / 1e3


def resident(device: str) -> int | None:
    """Bytes of the GPU's memory that this process holds.

    In a container it may not find itself among the GPU's processes: where there is at most one,
    all that is used is its own.
    """
    processes = _ask(device, "ComputeRunningProcesses")
    if processes is None:
        return None
    for process in processes:
        if process.pid == os.getpid():
            return process.usedGpuMemory
    used = _ask(device, "MemoryInfo")
    return used.used if used is not None and len(processes) <= 1 else None


def driver() -> str | None:
    import pynvml  # noqa: PLC0415

    try:
        pynvml.nvmlInit()
        return str(pynvml.nvmlSystemGetDriverVersion())
    except pynvml.NVMLError:
        return None


def _ask(device: str, what: str, *more: object) -> Any:
    handle = _handle(device)
    if handle is None:
        return None
    import pynvml  # noqa: PLC0415

    try:
        return getattr(pynvml, f"nvmlDeviceGet{what}")(handle, *more)
    except pynvml.NVMLError:
        return None


@cache
def _handle(device: str) -> Any:
    """The driver's name for the device; by its UUID, since the driver may number them otherwise."""
    place = torch.device(device)
    if place.type != "cuda" or not torch.version.cuda:
        return None
    import pynvml  # noqa: PLC0415

    try:
        pynvml.nvmlInit()
        uuid = torch.cuda.get_device_properties(place).uuid
        return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
    except pynvml.NVMLError:
        return None
