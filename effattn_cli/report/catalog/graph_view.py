"""A graph that was written: where, and what goes into it and comes out."""

import shlex
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from effattn_cli import units
from effattn_cli.records import Cell
from effattn_cli.report.documents.catalogs import Graph
from effattn_cli.report.layout import Column, Grid, Row
from effattn_cli.run.jobs import Port, Written

COLUMNS = (Column(title="tensor", folds=1), Column(title="dtype"), Column(title="shape"))


def document(path: Path, cell: Cell, written: Written) -> Graph:
    again = f"effattn profile -v {shlex.quote(cell.label)} -s {cell.seq} {cell.setting.options}"
    return Graph(
        path=str(path), variant=cell.label, seq=cell.seq, setting=cell.setting,
        inputs=written.inputs, outputs=written.outputs, bytes=path.stat().st_size,
        command=again.strip(),
    )  # fmt: skip


def table(graph: Graph) -> RenderableType:
    """A row for each input and output; then the file, and the command that measures it."""
    rows = [_row(port, opens=False) for port in graph.inputs]
    rows += [_row(port, opens=not index) for index, port in enumerate(graph.outputs)]
    name = f"{units.clean(graph.variant)}, {units.length(graph.seq)} tokens, {graph.setting.title}"
    return Group(
        Text(name, "bold"),
        Grid(COLUMNS, rows),
        Text(),
        Text(f"wrote {units.clean(graph.path)}, {units.size(graph.bytes)}; checked by onnx, and"),
        Text("its outputs are those of eager torch"),
        Text(f"measure it: {units.clean(graph.command)}"),
    )


def _row(port: Port, *, opens: bool) -> Row:
    shape = " x ".join(map(str, port.shape)) or "one number"
    return Row(cells=(Text(units.clean(port.name)), Text(port.dtype), Text(shape)), opens=opens)
