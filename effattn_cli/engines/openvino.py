"""OpenVINO on a CPU: a graph of one length, from the ONNX file that torch's exporter makes."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effattn_cli.engines import Prepared, Program
from effattn_cli.errors import Unsupported

if TYPE_CHECKING:
    from torch import Tensor

    from effattn_cli.engines.graphs.flat import Flat

PREPARING = 300.0
ROOM = 2 * 2**30
RUNS_EAGERLY = False
STATIC = True
NEEDS = ("openvino", "onnx", "onnxscript")


def missing(device: str) -> str | None:
    if not all(map(find_spec, NEEDS)):
        return "OpenVINO is not installed: pip install 'effattn[openvino]'"
    return None if device == "cpu" else f"openvino is measured on a CPU, not on {device}"


def fingerprint() -> str:
    from effattn_cli.engines.graphs.onnx import OPSET  # noqa: PLC0415

    version = metadata.version("openvino")
    return f"{version}, CPU, opset {OPSET}, for latency, precision of the dtype"


def prepare(program: Program) -> Prepared:
    from effattn_cli.engines.graphs.onnx import prepared  # noqa: PLC0415

    return prepared(program, partial(_load, program), operators=False)


def write(program: Program, path: Path) -> "Flat":
    from effattn_cli.engines.graphs import onnx  # noqa: PLC0415

    return onnx.write(program, path, operators=False)


def warnings() -> Iterator[str]:
    yield from ()


def _load(
    program: Program, path: Path, inputs: "Mapping[str, Tensor]", outputs: "Mapping[str, Tensor]"
) -> Callable[[], Any]:
    import openvino  # noqa: PLC0415

    core = openvino.Core()
    options: dict[str, Any] = {
        "INFERENCE_NUM_THREADS": program.threads,
        "PERFORMANCE_HINT": "LATENCY",
        "EXECUTION_MODE_HINT": "ACCURACY",  # otherwise float32 may be computed in bfloat16
    }
    try:
        compiled = core.compile_model(core.read_model(path), "CPU", options)
    except RuntimeError as error:
        raise Unsupported(f"OpenVINO refuses the graph: {_reason(str(error))}") from error
    request = compiled.create_infer_request()
    here = {name for port in compiled.inputs for name in port.names}
    for name, tensor in inputs.items():
        if name in here:
            request.set_tensor(name, _shared(tensor))
    for name, tensor in outputs.items():
        request.set_tensor(name, _shared(tensor))
    infer = partial(request.infer, share_outputs=True, decode_strings=False)
    if not program.watched:
        return infer

    def call() -> None:
        infer()
        compiled.release_memory()  # otherwise it would keep the memory of the call

    return call


def _reason(text: str) -> str:
    """The operator at which it stopped, and the last line of its message."""
    operator = re.search(r"Conversion is failed for: (.+)|with friendly_name '(.+?)'", text)
    lines = [line for line in text.splitlines() if line and not line.startswith("Summary")]
    said = [line for line in lines if "Conversion is failed" not in line]
    name = f"{operator[1] or operator[2]}: " if operator is not None else ""
    return f"{name}{said[-1][:200]}" if said else name or "no reason is given"


def _shared(tensor: "Tensor") -> Any:
    """One of its tensors on the same memory; numpy has no bfloat16."""
    import openvino  # noqa: PLC0415
    import torch  # noqa: PLC0415

    if tensor.dtype == torch.bfloat16:
        numbers = tensor.view(torch.int16).numpy()
        return openvino.Tensor(numbers, list(tensor.shape), openvino.Type.bf16)
    return openvino.Tensor(tensor.numpy(), shared_memory=True)
