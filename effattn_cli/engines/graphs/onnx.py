"""Programs as ONNX files, exported by torch."""

import contextlib
import hashlib
import logging
import os
import re
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from effattn_cli.engine_names import SCRATCH
from effattn_cli.engines import Prepared, Program
from effattn_cli.engines.graphs.flat import Flat
from effattn_cli.engines.graphs.translations import TABLE, finish
from effattn_cli.errors import Unsupported
from effattn_cli.parts.operators import kept
from effattn_cli.records import Preparation

#: Softmax attention is a single node from opset 23 on.
OPSET = 23
NAME = "graph.onnx"
#: Loads the graph of a file; returns a callable that runs it on its inputs and outputs, by name.
Load = Callable[[Path, Mapping[str, Tensor], Mapping[str, Tensor]], Callable[[], Any]]
#: Bytes of weights from which on they are stored beside the graph: a protobuf is limited to 2 GiB.
LARGE = 3 * 2**29
#: Bytes of graphs that a sweep keeps for its processes.
KEPT = 2 * 2**30


def prepared(program: Program, load: Load, *, operators: bool) -> Prepared:
    """The program as an ONNX file, loaded by an engine that gets the memory of the inputs and
    outputs once, so that a call copies nothing. Without `operators` of newer opsets, these are
    decomposed.

    Raises:
        Unsupported: torch cannot export it.
    """
    flat = Flat(program)
    outputs = flat.rooms()
    with _graph(program, flat, operators=operators) as (path, exporting):
        started = time.perf_counter()
        names = [output.name for output in flat.outputs]
        call = load(
            path,
            dict(zip(flat.names, flat.inputs, strict=True)),
            dict(zip(names, outputs, strict=True)),
        )
        loading = time.perf_counter() - started
    run = _calling(call, flat.result(outputs), [*flat.inputs, *outputs])
    return Prepared(
        run=run, preparation=Preparation(export_seconds=exporting, load_seconds=loading)
    )


def write(program: Program, path: Path, *, operators: bool) -> Flat:
    """Writes the program's graph to a file, and checks it; large weights are stored beside it.

    Raises:
        Unsupported: torch cannot export it.
    """
    import onnx  # noqa: PLC0415

    flat = Flat(program)
    made = exported(flat, operators=operators)
    weights = sum(weight.nbytes for weight in flat.module.state_dict().values())
    made.save(str(path), external_data=weights > LARGE)
    onnx.checker.check_model(str(path), full_check=True)
    return flat


def _calling(call: Callable[[], Any], result: Any, memory: list[Tensor]) -> Callable[..., Any]:
    """What is called instead of a program's function. The engine only has the addresses of inputs
    and outputs, so this keeps their memory alive.
    """

    def run(*_: Any, _memory: list[Tensor] = memory) -> Any:
        call()
        return result

    return run


@contextlib.contextmanager
def _graph(program: Program, flat: Flat, *, operators: bool) -> Iterator[tuple[Path, float | None]]:
    """The program's graph as a file that exists until the context ends, with its weights beside it;
    and the seconds that the export took, None if it already existed.

    The processes of a sweep export a program once: the first keeps it for the others.
    """
    shared = os.environ.get(SCRATCH)
    with contextlib.ExitStack() as stack:
        if shared and program.key:
            folder = (
                Path(shared) / hashlib.sha256(f"{program.key} {operators}".encode()).hexdigest()
            )
        else:
            temporary = tempfile.TemporaryDirectory(prefix="effattn-")
            folder = Path(stack.enter_context(temporary)) / "graph"
        seconds = None if folder.exists() else _write(flat, folder, operators=operators)
        yield folder / NAME, seconds


def _write(flat: Flat, folder: Path, *, operators: bool) -> float:
    """Exports into a folder, which then exists completely or not at all."""
    started = time.perf_counter()
    made = exported(flat, operators=operators)
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent))
    made.save(str(unfinished / NAME), external_data=True)
    _make_room(folder.parent)
    with contextlib.suppress(OSError):  # another process was faster
        unfinished.rename(folder)
    return time.perf_counter() - started


def _make_room(shared: Path) -> None:
    """Deletes the oldest graphs while their total size is too large; they can be exported again."""
    sizes = {
        folder: sum(file.stat().st_size for file in folder.iterdir())
        for folder in sorted(shared.iterdir(), key=lambda each: each.stat().st_mtime)
        if folder.is_dir()
    }
    for folder, size in [*sizes.items()][:-1]:  # the last one is the new one
        if sum(sizes.values()) > KEPT:
            shutil.rmtree(folder, ignore_errors=True)
            sizes[folder] -= size


def exported(flat: Flat, *, operators: bool) -> Any:
    """The `torch.onnx.ONNXProgram`.

    Raises:
        Unsupported: torch cannot export it; the message names the operator.
    """
    with warnings.catch_warnings(), _quiet(), torch.no_grad(), contextlib.ExitStack() as stack:
        warnings.simplefilter("ignore")
        table: dict[Any, Any] = {}
        if operators:
            named = stack.enter_context(kept())
            table = {named[name]: made for name, made in TABLE.items() if name in named}
        try:
            made = torch.onnx.export(
                flat,
                tuple(flat.inputs),
                dynamo=True,
                opset_version=OPSET,
                verbose=False,
                custom_translation_table=table,
                input_names=flat.names,
                output_names=[output.name for output in flat.outputs],
            )
        except Exception as error:
            raise Unsupported(f"ONNX: {reason(error)}") from error
    assert made is not None
    finish(made.model)
    return made


def reason(error: BaseException) -> str:
    """Why an export failed, in one line: the operator without a counterpart, if that is why."""
    deepest = error
    while (cause := deepest.__cause__ or deepest.__context__) is not None:
        deepest = cause
    operator = re.search(r"No ONNX function found for .*op='(.+?)', overload='(.+?)'", str(deepest))
    if operator is not None:
        return f"there is no operator for {operator[1]}.{operator[2]}"
    first = str(deepest).strip().partition("\n")[0][:200]
    return f"the export failed: {type(deepest).__name__}: {first}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences the exporter's messages about packages that are not installed."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
