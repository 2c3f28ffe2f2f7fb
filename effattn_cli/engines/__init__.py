"""What runs a module: each engine is a file of this package, of the name that `--engine` takes, or
a module that an installed package names under `effattn.engines`.

An engine is a module with these names; it imports what it needs when it is asked to prepare:

    PREPARING        seconds beyond the time limit that it may take to prepare
    ROOM             bytes that it may take for itself, beyond those of the cell
    RUNS_EAGERLY     whether the operators that run are those that are counted
    STATIC           whether it makes a graph of a call, for one length and one state, with memory
                     of its own: then there is no training, and each step of decoding is prepared
    missing(device)  why it cannot run there, and what to install; None where it can
    fingerprint()    its version, and how it is set up; nothing where torch's says it all
    prepare(program) what to call in the place of the program's function
    write(program, path)  of one that is STATIC: the graph as a file, checked
    warnings()       what a reader of the numbers has to know, after the calls
"""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from effattn_cli import engine_names
from effattn_cli.records import Preparation

if TYPE_CHECKING:
    from effattn_cli.engines.graphs.flat import Flat


@dataclass(frozen=True, kw_only=True)
class Program:
    """What is measured: a function of tensors, and what it is given at every call."""

    run: Callable[..., Any]
    given: tuple[Any, ...]  # a mask may be None; in decoding a state comes last
    names: tuple[str, ...]  # of what is given
    threads: int = 1
    watched: bool = False  # its memory is looked at: an arena that keeps what is freed is left out
    key: str = ""  # tells it from all other programs of a sweep, so that a graph can be kept


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """`run`, given what the program is given, does what the program's function does; one that is
    STATIC need not be given it again.
    """

    run: Callable[..., Any]
    preparation: Preparation | None = None  # what it took, where that is apart from the first call


class Engine(Protocol):
    PREPARING: float
    ROOM: int
    RUNS_EAGERLY: bool
    STATIC: bool

    def missing(self, device: str) -> str | None: ...

    def fingerprint(self) -> str: ...

    def prepare(self, program: Program) -> Prepared: ...

    def write(self, program: Program, path: Path) -> "Flat": ...

    def warnings(self) -> Iterator[str]: ...


def load(name: str) -> Engine:
    """The engine of that name.

    Raises:
        UsageError: there is none.
    """
    return cast("Engine", importlib.import_module(engine_names.module(name)))
