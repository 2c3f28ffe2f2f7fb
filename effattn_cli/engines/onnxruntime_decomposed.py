"""ONNX Runtime without the operators of opset 27: linear attention in products of matrices."""

from collections.abc import Iterator

from effattn_cli.engines import Prepared, Program, onnxruntime
from effattn_cli.engines.onnxruntime import PREPARING, ROOM, RUNS_EAGERLY, STATIC, missing

__all__ = ["PREPARING", "ROOM", "RUNS_EAGERLY", "STATIC", "fingerprint", "missing"]


def fingerprint() -> str:
    return onnxruntime.fingerprint(newest=False)


def prepare(program: Program) -> Prepared:
    return onnxruntime.prepare(program, operators=False)


def warnings() -> Iterator[str]:
    yield from ()
