"""The fingerprint of hardware and software that a profile is true for."""

import os
import platform
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from effattn_cli import __version__, engines
from effattn_cli.devices import nvml
from effattn_cli.errors import UsageError
from effattn_cli.host import container, processor
from effattn_cli.machine import Machine

#: Environment variables that change how threads wait and where memory comes from.
TELLING = (
    "OMP_",
    "KMP_",
    "GOMP_",
    "MKL_",
    "OPENBLAS_",
    "MALLOC_",
    "PYTORCH_ALLOC",
    "PYTORCH_CUDA",
    "LD_PRELOAD",
)


def resolve(device: str) -> list[str]:
    """The devices that a comma list names; `auto` is the accelerator if there is one.

    Raises:
        UsageError: a device is unknown or not here.
    """
    return [_resolve(word.strip()) for word in device.split(",")]


def _resolve(name: str) -> str:
    here = torch.accelerator.current_accelerator(check_available=True)
    if name == "auto":
        return str(here) if here is not None else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"unknown device {name!r}", "valid: auto, cpu, cuda, cuda:0") from error
    if device.type == "cpu":
        return "cpu"
    if here is None or device.type != here.type:
        kind = here.type if here is not None else "cpu"
        raise UsageError(f"no device {name!r} found", f"try --device {kind}")
    count = torch.accelerator.device_count()
    if (device.index or 0) >= count:
        raise UsageError(f"no device {name!r} found", f"this machine has {count} {here.type}")
    return name


def fingerprint(device: str, used: Iterable[str] = ()) -> Machine:
    """Of this machine with an accelerator, or without, and of the engines that are used."""
    import psutil  # noqa: PLC0415

    cores, memory = processor.cores(), int(psutil.virtual_memory().total)
    return Machine(
        effattn=__version__,
        python=platform.python_version(),
        os=f"{platform.system()} {platform.release()}",
        torch=str(torch.__version__),
        torch_build=_build(),
        blas=_blas(),
        cpu=processor.model(),
        cores=cores,
        physical_cores=psutil.cpu_count(logical=False),
        logical_cores=psutil.cpu_count(),
        cpu_mhz=_cpu_mhz(),
        memory_bytes=memory,
        allowed_cores=processor.allowed(),
        allowed_bytes=container.memory(memory),
        load=round(psutil.getloadavg()[0] / cores, 2),
        governor=_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        environment={
            name: value for name, value in sorted(os.environ.items()) if name.startswith(TELLING)
        },
        engines=_engines(used),
        **(_accelerator(device) if device != "cpu" else {}),
    )


def _engines(used: Iterable[str]) -> dict[str, str]:
    """How each is set up that is here and is not torch."""
    loaded = {name: engines.load(name) for name in used}
    here = {name: engine for name, engine in loaded.items() if engine.missing("cpu") is None}
    texts = {name: engine.fingerprint() for name, engine in here.items()}
    return {name: text for name, text in texts.items() if text}


def _build() -> str:
    """The libraries that torch computes with: BLAS, oneDNN, OpenMP."""
    lines = (line.strip(" -") for line in torch.__config__.show().splitlines())
    wanted = (
        "Intel(R) oneAPI Math",
        "Intel(R) MKL-DNN",
        "OpenMP",
        "CPU capability",
        "CUDA Runtime",
    )
    return "; ".join(line for line in lines if line.startswith(wanted))


def _blas() -> str | None:
    match = re.search(r"BLAS_INFO=(\w+)", torch.__config__.show())
    return match[1] if match else None


def _cpu_mhz() -> int | None:
    import psutil  # noqa: PLC0415

    with suppress(Exception):  # each system fails in its own way where it does not tell
        return round(psutil.cpu_freq().current) or None
    return None


def _accelerator(device: str) -> dict[str, Any]:
    place = torch.device(device)
    if place.type != "cuda":
        return {"accelerator": place.type}
    properties = torch.cuda.get_device_properties(place)
    processors, memory = nvml.max_mhz(device)
    return {
        "accelerator": properties.name,
        "accelerator_memory_bytes": properties.total_memory,
        "accelerator_free_bytes": torch.cuda.mem_get_info(place)[0],
        "accelerator_sm_mhz": processors,
        "accelerator_memory_mhz": memory,
        "accelerator_watts": nvml.watts(device),
        "driver": nvml.driver(),
    }


def _text(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None
