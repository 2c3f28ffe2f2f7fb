"""torch.compile, with its defaults."""

from collections.abc import Iterator

from effattn_cli.engines import Prepared, Program
from effattn_cli.engines.eager import STATIC, fingerprint, missing

__all__ = ["STATIC", "fingerprint", "missing"]

PREPARING = 300.0
ROOM = 0
RUNS_EAGERLY = False


def prepare(program: Program) -> Prepared:
    import torch  # noqa: PLC0415

    return Prepared(run=torch.compile(program.run))


def warnings() -> Iterator[str]:
    """About graph breaks, or a graph that was not compiled at all."""
    from torch._dynamo.utils import counters  # noqa: PLC0415

    breaks = counters["graph_break"]
    graphs = counters["stats"]["unique_graphs"]
    if breaks:
        first = str(next(iter(breaks))).partition("\n")[0]
        yield f"torch.compile broke the graph {sum(breaks.values())} times: {first[:200]}"
    elif graphs > 1:
        yield f"torch.compile made {graphs} graphs of it"
    if not graphs:
        yield "torch.compile compiled nothing of it"
