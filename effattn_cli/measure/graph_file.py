"""Writes the graph that an engine runs to a file, so that what was measured can be deployed."""

from pathlib import Path

from torch import Tensor

from effattn_cli import engines
from effattn_cli.attention import Layer
from effattn_cli.errors import Unsupported
from effattn_cli.measure import engine_equality
from effattn_cli.measure.workload import build
from effattn_cli.records import Cell

#: Name, dtype and shape of a tensor of a graph.
Port = tuple[str, str, tuple[int, ...]]


def write(
    variant: type[Layer], cell: Cell, path: Path, *, seed: int = 0
) -> tuple[list[Port], list[Port]]:
    """Writes the graph of the cell, after its outputs were compared with those of eager torch;
    returns its inputs and outputs.

    Raises:
        Unsupported: the engine makes no file, or cannot run the cell; its steps are several graphs.
        NotEqual: the outputs are others.
    """
    engine = engines.load(cell.setting.engine)
    if not engine.STATIC:
        raise Unsupported(f"{cell.setting.engine} runs no graph that could be a file")
    eager = build(variant, cell, seed=seed, eager=True)
    if eager.steps > 1:
        raise Unsupported(f"each of {eager.steps} steps in turn is another graph")
    subject = build(variant, cell, seed=seed)
    engine_equality.check(subject, eager, cell)
    assert subject.program is not None
    flat = engine.write(subject.program, path)
    inputs = zip(flat.names, flat.inputs, strict=True)
    return [_port(*pair) for pair in inputs], [_port(one.name, one.like) for one in flat.outputs]


def _port(name: str, tensor: Tensor) -> Port:
    return name, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape)
