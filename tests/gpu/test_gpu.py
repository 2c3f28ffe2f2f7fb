"""What needs a GPU: the real command, and every variant, on a CUDA device."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import Layer
from effattn_cli.measure.subject import build
from effattn_cli.records import Cell

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
NAMES = catalog.bundled_names()


@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_gives_what_a_cpu_gives(name: str) -> None:
    variant = catalog.load(name, kind=Layer)
    for causal in laws.modes(variant):
        layer = laws.make(variant, 200, causal=causal)
        x = laws.tokens_in(200)
        with torch.no_grad():
            want = layer(x)
            got = layer.cuda()(x.cuda()).cpu()
        torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("name", NAMES)
def test_every_dtype_is_finite(name: str, dtype: str) -> None:
    cell = Cell(variant=name, seq=1000, device="cuda", dtype=dtype)  # type: ignore[arg-type]
    out = build(catalog.load(name, kind=Layer), cell).call()
    assert out.isfinite().all()
    assert out.is_cuda


def test_the_main_job_runs_on_the_gpu(tmp_path: Path) -> None:
    words = ["profile", "-v", "linformer", "-s", "1k..4k", "-d", "cuda", "--dtype", "bf16,fp32"]
    found = subprocess.run(
        [sys.executable, "-m", "effattn_cli", *words, "--json", "-o", str(tmp_path / "p.yaml")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    document = json.loads(found.stdout)
    assert document["machine"]["accelerator"]
    for record in document["records"]:
        assert record["rounds"], record
        assert record["memory"]["method"] == "allocator peak"
        assert record["memory"]["peak_bytes"] > 0


@pytest.mark.parametrize("backend", ["flash", "efficient", "math"])
def test_the_backend_that_ran_is_recorded(tmp_path: Path, backend: str) -> None:
    words = f"profile -v sdpa:backend={backend} -s 1k -d cuda --dtype bf16 --baseline none --json"
    found = subprocess.run(
        [sys.executable, "-m", "effattn_cli", *words.split(), "-o", str(tmp_path / "p.yaml")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    (record,) = json.loads(found.stdout)["records"]
    assert any(backend in kernel for kernel in record["kernels"]), record["kernels"]
