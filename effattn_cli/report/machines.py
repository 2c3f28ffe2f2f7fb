"""A machine and what its devices reach at best."""

from collections.abc import Iterable

from rich.console import Group as Lines
from rich.table import Table
from rich.text import Text

from effattn_cli.records import Machine, Roofline
from effattn_cli.report import units
from effattn_cli.report.grid import Column, Grid, Row

COLUMNS = (
    Column(title="device"),
    Column(title="dtype"),
    Column(title="threads", right=True),
    Column(title="products", right=True),
    Column(title="exp", right=True, extra=1),
    Column(title="in cache", right=True),
    Column(title="memory", right=True),
    Column(title="an operator", right=True),
)
NOTE = (
    "products: FLOP a second of large matrix products; in cache, memory: bytes a second of a sum"
    " that the nearest cache holds, and that none does; an operator: what dispatching or launching"
    " one costs. The best of several tries each."
)


def shown(machine: Machine, rooflines: Iterable[Roofline]) -> Lines:
    """The machine's facts, then a row for each roofline."""
    facts = Table.grid(padding=(0, 2))
    for name, text in _facts(machine).items():
        if text:
            facts.add_row(Text(name, "dim"), Text(units.clean(text)))
    rows = [Row(cells=tuple(map(Text, _row(item)))) for item in rooflines]
    return Lines(facts, Text(), Grid(COLUMNS, rows), Text(), Text(NOTE, "dim"))


def _facts(machine: Machine) -> dict[str, str]:
    memory = machine.accelerator_memory_bytes
    return {
        "cpu": f"{machine.cpu}, {machine.cores} cores, {units.size(machine.memory_bytes)}",
        "accelerator": " ".join(
            [machine.accelerator or "", f"({units.size(memory)})" if memory else ""]
        ).strip(),
        "driver": machine.driver or "",
        "torch": f"{machine.torch}, Python {machine.python}, {machine.os}",
        "build": machine.torch_build,
        "governor": machine.governor or "",
        "load": f"{machine.load:.2f} of the cores at the start",
        "settings": ", ".join(f"{name}={text}" for name, text in machine.environment.items()),
    }


def _row(item: Roofline) -> list[str]:
    speeds = [point.speed for point in sorted(item.bandwidths, key=lambda point: point.touched)]
    return [
        units.clean(item.device),
        item.dtype,
        str(item.threads),
        f"{units.count(item.flops)}FLOP/s",
        f"{units.count(item.exponentials)}/s",
        f"{units.size(max(speeds))}/s",
        f"{units.size(speeds[-1])}/s",
        units.seconds(item.dispatch),
    ]
