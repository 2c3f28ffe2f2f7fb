"""A variant as the graph that an engine runs, in a file."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from effattn_cli import files
from effattn_cli.app.conformance import subject
from effattn_cli.app.named_profiles import unless_there
from effattn_cli.catalog import Catalog
from effattn_cli.errors import UsageError
from effattn_cli.host import processor
from effattn_cli.host.processes import usual_memory_limit
from effattn_cli.plan.cells import plan
from effattn_cli.plan.request import merged
from effattn_cli.records import Cell, Failure
from effattn_cli.run import outcome
from effattn_cli.run.fork_server import Launcher
from effattn_cli.run.jobs import Job, WriteGraph, Written, task

TIMEOUT = 900.0  # seconds for export and loading, of large weights too


def cell_of(
    variant: str, plugins: Sequence[str], options: Mapping[str, Any]
) -> tuple[Catalog, Cell]:
    """The one cell of a variant that these options of a sweep stand for.

    Raises:
        UsageError: they stand for several, or cannot be read.
    """
    catalog, choice = subject(variant, plugins)
    always = catalog.variant(choice.name).card.causal == "always"
    options = {"causal": always, **options}
    request = merged({**options, "variant": (choice.label,), "baseline": "none"}, {})
    cells = plan(request, catalog, processor.cores()).cells
    if len(cells) != 1:
        raise UsageError(f"that stands for {len(cells)} graphs", "give one value of each option")
    return catalog, cells[0]


def write(
    catalog: Catalog, cell: Cell, path: Path, launcher: Launcher, *, force: bool = False
) -> Written:
    """Writes the graph of a cell, once its outputs are those of eager torch.

    Raises:
        UsageError: there is a file already, or the variant or the engine cannot do it; nothing is
            written.
    """
    files.check(path)
    unless_there(path, force=force)
    variants = {cell.variant: catalog.variant(cell.variant)}
    with tempfile.TemporaryDirectory(dir=path.absolute().parent, prefix=".effattn-") as folder:
        unfinished = Path(folder) / path.name
        request = WriteGraph(task=task(cell, variants), path=str(unfinished))
        job = Job(request=request, timeout=TIMEOUT, memory=usual_memory_limit())
        answer = outcome.answer(launcher.run(job), Written, TIMEOUT)
        if isinstance(answer, Failure):
            raise UsageError(f"{cell.label} was not written: {answer.message}")
        for file in Path(folder).iterdir():  # the graph, and large weights beside it
            file.replace(path.parent / file.name)
    return answer
