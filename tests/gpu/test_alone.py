"""Timing and the driver's figures on a CUDA device: nothing else may use it meanwhile."""

import time
from pathlib import Path
from statistics import median

import pytest
import torch

from effattn_cli.devices import fingerprint, nvml, timing
from tests.gpu.profiling import profiled

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
needs_nvml = pytest.mark.skipif(
    not torch.cuda.is_available() or nvml.watts("cuda") is None,
    reason="needs a driver that answers",
)


def test_calls_of_a_block_do_not_overlap_and_the_cpu_runs_ahead() -> None:
    x = torch.randn(4096, 4096, device="cuda")
    run = timing.block("cuda", lambda: x @ x)
    run(3)
    torch.cuda.synchronize()
    started = time.perf_counter()
    found = run(8)
    elapsed = time.perf_counter() - started
    assert 0.5 * elapsed < sum(found.seconds) <= 1.01 * elapsed
    assert sum(found.launches) < 0.5 * elapsed


def test_a_call_upon_a_cold_cache_takes_longer() -> None:
    size = torch.cuda.get_device_properties("cuda").L2_cache_size // 4
    x = torch.ones(size // 4, device="cuda")
    out = torch.empty_like(x)
    before = timing.overwriting("cuda")

    def call() -> object:
        return torch.add(x, x, out=out)

    def pause() -> None:  # the CPU has the same head start as behind the overwriting
        torch.cuda._sleep(100_000)

    cold, warm = (timing.block("cuda", call, each) for each in (before, pause))
    cold(10), warm(10)
    assert median(cold(50).seconds) > 1.1 * median(warm(50).seconds)


@needs_nvml
def test_the_driver_tells_of_a_gpu_at_work() -> None:
    x = torch.randn(8192, 8192, device="cuda")
    found = nvml.at_work("cuda", lambda: x @ x, 1e-4)
    assert found is not None
    assert 100 < found.sm_mhz < 5000
    assert 10 < found.celsius < 110
    here = fingerprint.fingerprint("cuda")
    assert here.accelerator_sm_mhz is not None
    assert found.sm_mhz <= here.accelerator_sm_mhz
    assert here.accelerator_watts is not None
    assert 10 < here.accelerator_watts < 2000
    assert here.accelerator_free_bytes is not None
    assert here.accelerator_memory_bytes is not None
    assert 0 < here.accelerator_free_bytes < here.accelerator_memory_bytes


@needs_nvml
def test_the_driver_sees_what_the_allocator_takes() -> None:
    torch.cuda.empty_cache()
    before = nvml.resident("cuda")
    held = torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
    after = nvml.resident("cuda")
    if before is None or after is None:
        pytest.skip("other processes are on the GPU, and this one cannot tell which it is")
    assert after - before == pytest.approx(held.nbytes, rel=0.1)


def test_every_cell_of_a_warm_and_cold_sweep_has_its_launches(tmp_path: Path) -> None:
    words = "-v softmax -s 256,4k -d cuda --cache warm,cold --baseline none"
    document = profiled(words, tmp_path)
    assert {record["cell"]["setting"]["cache"] for record in document["records"]} == {
        "warm",
        "cold",
    }
    for record in document["records"]:
        for part in record["runs"]:
            assert 0 < part["launch"] < 0.1
            assert part["joules"] is None or record["cell"]["setting"]["cache"] == "warm"
            limit = document["machine"]["accelerator_watts"]
            if part["joules"] is not None and limit is not None:
                assert part["joules"] <= 1.1 * limit * median(part["samples"])
