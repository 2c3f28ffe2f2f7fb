"""ONNX Runtime on a CPU: a graph of one length, made by torch's exporter."""

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
NEEDS = ("onnxruntime", "onnx", "onnxscript")
PROVIDER = "CPUExecutionProvider"


def missing(device: str) -> str | None:
    if not all(map(find_spec, NEEDS)):
        return "ONNX Runtime is not installed: pip install 'effattn[onnxruntime]'"
    return None if device == "cpu" else f"onnxruntime is measured on a CPU, not on {device}"


def fingerprint(*, newest: bool = True) -> str:
    from effattn_cli.engines.graphs import onnx, translations  # noqa: PLC0415

    opsets = f"opset {onnx.OPSET}" + (f" or {translations.OPSET}" if newest else "")
    version = metadata.version("onnxruntime")
    return f"{version}, {PROVIDER}, {opsets}, all optimisations, threads spin"


def prepare(program: Program, *, operators: bool = True) -> Prepared:
    """With the `operators` of the newest opset, or without."""
    from effattn_cli.engines.graphs.onnx import prepared  # noqa: PLC0415

    return prepared(program, partial(_load, program), operators=operators)


def write(program: Program, path: Path, *, operators: bool = True) -> "Flat":
    from effattn_cli.engines.graphs import onnx  # noqa: PLC0415

    return onnx.write(program, path, operators=operators)


def warnings() -> Iterator[str]:
    yield from ()


def _load(
    program: Program, path: Path, inputs: "Mapping[str, Tensor]", outputs: "Mapping[str, Tensor]"
) -> Callable[[], Any]:
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = program.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    if program.watched:
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=[PROVIDER])
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented as error:
        node = re.search(r"implementation for (\w+)", str(error))
        what = node[1] if node else str(error).partition("\n")[0][:200]
        raise Unsupported(f"ONNX Runtime has no {what} for these types") from error
    binding = session.io_binding()
    here = {item.name for item in session.get_inputs()}  # inputs that are never read are missing
    for name, tensor in inputs.items():
        if name in here:
            binding.bind_input(name, *_memory(tensor))
    for name, tensor in outputs.items():
        binding.bind_output(name, *_memory(tensor))
    return partial(session.run_with_iobinding, binding)


def _memory(tensor: "Tensor") -> tuple[Any, ...]:
    """The memory of a tensor, as a binding takes it: device, element type, shape, address."""
    from onnx import TensorProto  # noqa: PLC0415

    kinds = {
        "float64": TensorProto.DOUBLE, "float32": TensorProto.FLOAT,
        "bfloat16": TensorProto.BFLOAT16, "float16": TensorProto.FLOAT16,
        "int64": TensorProto.INT64, "int32": TensorProto.INT32, "bool": TensorProto.BOOL,
    }  # fmt: skip
    kind = kinds[str(tensor.dtype).removeprefix("torch.")]
    return "cpu", 0, kind, tuple(tensor.shape), tensor.data_ptr()
