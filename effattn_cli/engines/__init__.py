"""The engines that run a module: each is a file of this package, named as in `--engine`, or a
module that an installed package registers under `effattn.engines`.

An engine is a module with these names; it imports its dependencies when it is asked to prepare:

    PREPARING        seconds beyond the time limit that it may take to prepare
    ROOM             bytes that it may use itself, beyond those of the cell
    RUNS_EAGERLY     whether it runs the same operators that are counted
    STATIC           whether it compiles a call to a graph for one length and one state, with memory
                     of its own: then there is no training, and each step of decoding is prepared
    missing(device)  why it cannot run there, and what to install; None where it can
    fingerprint()    its version and settings; empty if torch's version says it all
    prepare(program) what to call instead of the program's function
    write(program, path)  if it is STATIC: the graph as a file, checked
    warnings()       what a reader of the numbers should know, after the calls
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
    """What is measured: a function of tensors, and its arguments at every call."""

    run: Callable[..., Any]
    given: tuple[Any, ...]  # a mask may be None; in decoding a state comes last
    names: tuple[str, ...]  # of the arguments
    threads: int = 1
    watched: bool = False  # its memory is measured: no arena that retains freed memory
    key: str = ""  # identifies it among all programs of a sweep, so that a graph can be kept


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """`run`, called with the program's arguments, does what the program's function does; if the
    engine is STATIC it does not need the arguments again.
    """

    run: Callable[..., Any]
    preparation: Preparation | None = None  # its cost, if that is separate from the first call


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
    """The engine with that name.

    Raises:
        UsageError: there is none.
    """
    return cast("Engine", importlib.import_module(engine_names.module(name)))
