"""ONNX Runtime without the operators of opset 27: linear attention as matrix products."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from effattn_cli.engines import Prepared, Program, onnxruntime
from effattn_cli.engines.onnxruntime import PREPARING, ROOM, RUNS_EAGERLY, STATIC, missing

if TYPE_CHECKING:
    from effattn_cli.engines.graphs.flat import Flat

__all__ = ["PREPARING", "ROOM", "RUNS_EAGERLY", "STATIC", "fingerprint", "missing"]


def fingerprint() -> str:
    return onnxruntime.fingerprint(newest=False)


def prepare(program: Program) -> Prepared:
    return onnxruntime.prepare(program, operators=False)


def write(program: Program, path: Path) -> "Flat":
    return onnxruntime.write(program, path, operators=False)


def warnings() -> Iterator[str]:
    yield from ()
