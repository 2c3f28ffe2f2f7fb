"""`effattn export-model`: a variant as the file that an engine loads."""

from pathlib import Path
from typing import Annotated, Any

import typer

from effattn_cli.commands import options as o
from effattn_cli.commands.completion import variant_names

PLUGIN = typer.Option("--plugin", metavar="PATH", help="A file or folder with your variants.")
SEQ = typer.Option(
    "--seq", "-s", metavar="N", help="Tokens; in decoding, the context with the new token."
)


#: Axes that say how a graph is measured, not what it is.
MEASURED = {"device", "threads", "alloc", "cache"}


@o.takes(*(axis for axis in o.filters("What is exported") if axis.name not in MEASURED))
def export_model(
    variant: Annotated[
        str,
        typer.Argument(help="A variant with options, or its file.", autocompletion=variant_names),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="File to write, as `layer.onnx`.")
    ],
    seq: Annotated[str, SEQ] = "1k",
    plugin: Annotated[list[str] | None, PLUGIN] = None,
    force: o.Force = False,
    json: o.Json = False,
    **options: Any,
) -> None:
    """Write the graph that an engine runs: what was measured, checked against eager torch.

    The engine is onnxruntime unless another one is given; weights are random, as in a sweep.
    """
    from effattn_cli.app import exporting
    from effattn_cli.report.catalog import graph_view
    from effattn_cli.report.console import stdout
    from effattn_cli.report.documents import kinds
    from effattn_cli.run.fork_server import ForkServer

    given = {
        "engine": "onnxruntime",
        "scope": "layer",
        "device": "cpu",
        **o.given(options),
        "seq": seq,
    }
    catalog, cell = exporting.cell_of(variant, plugin or [], given)
    with ForkServer() as server:
        written = exporting.write(catalog, cell, out, server, force=force)
    document = graph_view.document(out, cell, written)
    if json:
        print(kinds.text(document))
    else:
        stdout().print(graph_view.table(document), highlight=False)
