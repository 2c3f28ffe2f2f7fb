"""`effattn export-model`: a variant as the file that an engine loads."""

from pathlib import Path
from typing import Annotated, Any

from effattn_cli.commands import options as o

#: Axes that say how a graph is measured, not what it is.
MEASURED = {"device", "threads", "alloc", "cache"}
EXPORTED = "What is exported"
Seq = Annotated[
    str,
    o.of_sweep("seq", EXPORTED, f"Tokens; in decoding, with the new one. {o.unless_given('1k')}"),
]


def _axes(*options: o.Option) -> list[o.Option]:
    return [option for option in options if option.name not in MEASURED]


@o.takes(*_axes(*o.filters(EXPORTED)), behind=_axes(*o.rare_filters()))
def export_model(
    variant: o.OneVariant,
    out: Annotated[Path, o.out("File to write, as `layer.onnx`.")],
    seq: Seq = "1k",
    plugin: o.Plugin = None,
    force: o.Force = False,
    json: o.Json = False,
    **options: Any,
) -> None:
    """Write the graph that an engine runs, once it gives what eager torch gives.

    Unless you say otherwise: a layer, for onnxruntime. Weights are random.
    """
    from effattn_cli.app import exporting
    from effattn_cli.report.catalog import graph_view
    from effattn_cli.report.console import stdout
    from effattn_cli.report.documents import kinds
    from effattn_cli.run.fork_server import ForkServer

    usual = {"engine": "onnxruntime", "scope": "layer", "device": "cpu"}
    catalog, cell = exporting.cell_of(
        variant, plugin or [], {**usual, **o.given(options), "seq": seq}
    )
    with ForkServer() as server:
        written = exporting.write(catalog, cell, out, server, force=force)
    document = graph_view.document(out, cell, written)
    if json:
        print(kinds.text(document))
    else:
        stdout().print(graph_view.table(document), highlight=False)
