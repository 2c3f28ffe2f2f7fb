"""What needs a GPU: the real command, and every variant, on a CUDA device."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from effattn_cli import catalog, laws
from effattn_cli.attention import Decodable, Layer
from effattn_cli.measure.workload import build
from effattn_cli.records import Cell, Failure, Sampling
from effattn_cli.run import outcome
from effattn_cli.run.fork_server import ForkServer
from effattn_cli.run.jobs import Job, MeasureMemory, Task, Watched
from effattn_cli.setting import Setting
from tests.gpu.profiling import profiled

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
NAMES = catalog.bundled_names()


TOKENS = 200


def _close(got: Tensor, want: Tensor, what: str) -> None:
    """To a thousandth of the norm; a gradient that is 0 by symmetry is rounding errors."""
    error, size = (got.cpu() - want).norm().item(), want.norm().item()
    assert error <= 1e-3 * max(size, 1e-2), f"{what} is {error:.2g} off, its norm is {size:.2g}"


@pytest.mark.parametrize("name", NAMES)
def test_outputs_and_gradients_are_those_of_a_cpu(name: str) -> None:
    variant = catalog.load(name, kind=Layer)
    for causal in laws.modes(variant):
        outputs: list[Tensor] = []
        grads: list[dict[str, Tensor | None]] = []
        for device in ("cpu", "cuda"):
            layer = laws.make(variant, TOKENS, causal=causal).to(device)
            x = laws.tokens_in(TOKENS).to(device).requires_grad_()
            out = layer(x)
            weights = laws.tokens_in(out.shape[1], seed=2).to(device)
            (out * weights).sum().backward()
            outputs.append(out.detach())
            tensors = {"input": x, **dict(layer.named_parameters())}
            grads.append({what: tensor.grad for what, tensor in tensors.items()})
        _close(outputs[1], outputs[0], f"the output with causal={causal}")
        for what, want in grads[0].items():
            got = grads[1][what]
            if want is None or got is None:  # it is trained by a loss of its own
                assert want is got, f"one device gives {what} no gradient"
                continue
            _close(got, want, f"the gradient of {what} with causal={causal}")


@torch.no_grad()
@pytest.mark.parametrize("name", NAMES)
def test_steps_of_decoding_are_those_of_a_cpu(name: str) -> None:
    variant = catalog.load(name, kind=Layer)
    if not issubclass(variant, Decodable):
        pytest.skip("it does not decode token by token")
    results = []
    for device in ("cpu", "cuda"):
        # In float64, since a hash or a nearest centroid depends on the last bit.
        layer = laws.make(variant, TOKENS, dtype=torch.float64, causal=True).to(device)
        x = laws.tokens_in(TOKENS, dtype=torch.float64).to(device)
        state, steps = layer.init_state(laws.B, 0), []
        for t in range(TOKENS):
            step, state = layer.decode(x[:, t], state)
            steps.append(step)
        results.append(torch.stack(steps, dim=1))
    _close(results[1], results[0], "the output of decoding")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("name", NAMES)
def test_every_dtype_is_finite(name: str, dtype: str) -> None:
    variant = catalog.load(name, kind=Layer)
    causal = variant.card.causal == "always"
    cell = Cell(variant=name, seq=1000, setting=Setting(device="cuda", dtype=dtype, causal=causal))  # type: ignore[arg-type]
    out = build(variant, cell).call()
    assert out.isfinite().all()
    assert out.is_cuda


def test_the_main_job_runs_on_the_gpu(tmp_path: Path) -> None:
    document = profiled("-v linformer -s 1k..4k -d cuda --dtype bf16,fp32", tmp_path)
    assert document["machine"]["accelerator"]
    for record in document["records"]:
        assert record["runs"], record
        assert record["memory"]["method"] == "allocator peak"
        assert record["memory"]["peak_bytes"] > 0


@pytest.mark.parametrize("backend", ["flash", "efficient", "math"])
def test_the_backend_that_ran_is_recorded(tmp_path: Path, backend: str) -> None:
    words = f"-v sdpa:backend={backend} -s 1k -d cuda --dtype bf16 --baseline none"
    (record,) = profiled(words, tmp_path)["records"]
    assert any(backend in kernel for kernel in record["kernels"]), record["kernels"]


@pytest.mark.parametrize("name", ["sdpa", "gqa"])
def test_decoding_does_without_the_kernels_of_cudnn(tmp_path: Path, name: str) -> None:
    words = f"-v {name} -s 1k -d cuda --dtype bf16 --phase decode --baseline none"
    (record,) = profiled(words, tmp_path)["records"]
    assert record["kernels"]
    assert not any("cudnn" in kernel for kernel in record["kernels"]), record["kernels"]


def test_a_cell_that_takes_more_than_it_may_is_out_of_memory() -> None:
    cell = Cell(
        variant="softmax", seq=8192, setting=Setting(device="cuda")
    )  # its scores alone take 2 GiB
    task = Task(cell=cell, plugin=None)
    with ForkServer() as server:
        roomy, tight = (
            outcome.answer(
                server.run(
                    Job(request=MeasureMemory(task=task, sampling=Sampling(), device_memory=limit))
                ),
                Watched,
                60.0,
            )
            for limit in (16 << 30, 1 << 30)
        )
    assert isinstance(roomy, Watched)
    assert roomy.memory.peak_bytes > 2 << 30
    assert isinstance(tight, Failure)
    assert tight.reason == "out-of-memory"
