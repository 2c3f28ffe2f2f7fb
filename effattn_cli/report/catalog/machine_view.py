"""A machine and what its devices reach at best."""

from collections.abc import Iterator, Sequence

from rich.console import Group as Lines
from rich.table import Table
from rich.text import Text

from effattn_cli import units
from effattn_cli.machine import Machine
from effattn_cli.records import Roofline
from effattn_cli.report.layout import Column, Grid, Row

COLUMNS = (
    Column(title="device"),
    Column(title="dtype"),
    Column(title="threads", right=True),
    Column(title="products", right=True),
    Column(title="exp", right=True, extra=1),
    Column(title="in cache", right=True),
    Column(title="memory", right=True),
    Column(title="per operator", right=True),
)
NOTE = (
    "products: FLOP a second of large matrix products; in cache, memory: bytes a second of a sum"
    " that the nearest cache holds, and that none does; per operator: launch overhead. Each is the"
    " best of several tries."
)


def shown(machine: Machine, rooflines: Sequence[Roofline]) -> Lines:
    """The machine's facts, then a row for each roofline."""
    table = Table.grid(padding=(0, 2))
    for name, text in facts(machine).items():
        if text:
            table.add_row(Text(name, "dim"), Text(units.clean(text)))
    rows = [Row(cells=tuple(map(Text, _row(item)))) for item in rooflines]
    marks = [Text(line) for item in rooflines for line in _marks(item)]
    return Lines(table, Text(), Grid(COLUMNS, rows), Text(), *marks, Text(NOTE, "dim"))


def _marks(item: Roofline) -> Iterator[str]:
    """Why it is doubtful, and what has raised it."""
    place = f"{units.clean(item.device)} {item.dtype}, {units.number(item.threads, 'thread')}"
    if item.doubts:
        why = "; ".join(map(units.clean, item.doubts))
        yield f"! {place}: {why}. It may be too low and is not kept; measure it on an idle machine"
    if item.raised:
        yield f"{place}: raised, {'; '.join(map(units.clean, item.raised))}"


def facts(machine: Machine) -> dict[str, str]:
    """What is known of a machine, in words; nothing where it is not known."""
    return {
        "cpu": f"{machine.cpu}, {machine.cores} cores, {units.size(machine.memory_bytes)}",
        "cores": ", ".join(_whole(machine)),
        "allowed": ", ".join(_granted(machine)),
        "accelerator": ", ".join(_accelerator(machine)),
        "driver": machine.driver or "",
        "torch": f"{machine.torch}, Python {machine.python}, {machine.os}",
        "build": machine.torch_build,
        "blas": machine.blas or "",
        "governor": machine.governor or "",
        "load": f"{machine.load:.2f} per core at the start",
        "settings": ", ".join(f"{name}={text}" for name, text in machine.environment.items()),
    }


def _whole(machine: Machine) -> Iterator[str]:
    """The CPU as it is built, and how fast it went."""
    if machine.physical_cores and machine.logical_cores:
        yield f"{machine.physical_cores} physical cores, {machine.logical_cores} threads"
    if machine.cpu_mhz:
        yield f"{machine.cpu_mhz} MHz at the start"


def _granted(machine: Machine) -> Iterator[str]:
    """What a container leaves of it."""
    cores, memory = machine.allowed_cores, machine.allowed_bytes
    if cores is not None and machine.logical_cores and cores < machine.logical_cores:
        yield f"{cores:g} cores"
    if memory is not None and memory < machine.memory_bytes:
        yield units.size(memory)


def _accelerator(machine: Machine) -> Iterator[str]:
    if machine.accelerator is not None:
        yield machine.accelerator
    if machine.accelerator_memory_bytes:
        free = machine.accelerator_free_bytes
        free_text = f" ({units.size(free)} free at the start)" if free is not None else ""
        yield units.size(machine.accelerator_memory_bytes) + free_text
    if machine.accelerator_sm_mhz:
        yield f"up to {machine.accelerator_sm_mhz} MHz"
    if machine.accelerator_memory_mhz:
        yield f"memory {machine.accelerator_memory_mhz} MHz"
    if machine.accelerator_watts:
        yield f"{machine.accelerator_watts:g} W"


def _row(item: Roofline) -> list[str]:
    speeds = [
        point.speed for point in sorted(item.bandwidths, key=lambda point: point.working_set_bytes)
    ]
    return [
        ("! " if item.doubts else "") + units.clean(item.device),
        item.dtype,
        str(item.threads),
        f"{units.count(item.flops)}FLOP/s",
        f"{units.count(item.exponentials)}/s",
        f"{units.size(max(speeds))}/s",
        f"{units.size(speeds[-1])}/s",
        units.seconds(item.dispatch),
    ]
