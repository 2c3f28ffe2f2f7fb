"""A public implementation beside the variant of ours that does the same."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from effattn_cli.attention import Layer
from effattn_cli.records import Cell
from effattn_cli.setting import Scope, Setting

DIM, HEADS, WIDTH = 512, 8, 64

Inputs = Sequence[Tensor]
State = tuple[Tensor, ...]
#: Does decoding steps; gives the last one's output, and the state after it.
Steps = Callable[[], tuple[Tensor, State]]


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One public implementation. `adapters/<variant>.py` holds the list `PEERS` of a variant's."""

    package: str
    which: str = ""  # of the package's implementations, where more than one is compared
    module: str = ""  # what the package is imported as, where that is another name
    make: Callable[[int], nn.Module]  # for a length
    run: Callable[[Any, Inputs], Tensor]  # their output for our inputs: x, or q, k and v
    scope: Scope = "core"
    options: tuple[tuple[str, Any], ...] = ()  # ours
    causal: bool = False
    #: Gives theirs the weights of ours, so that outputs agree; None where `differs` says why.
    copy: Callable[[Any, Any], None] | None = None
    differs: str = ""
    raced: bool = True  # not a bare definition, which nobody would run on a whole sequence
    #: Their decoding state that holds what ours does, from their module and our state.
    state: Callable[[Any, Any], State] | None = None
    #: Their decoding steps, from their module, our inputs of one token, their state, and how many
    #: tokens come before each step: as many steps as our work takes to repeat, mostly one. A call
    #: does all of them with these inputs. It begins with the state it was made with, unless theirs
    #: is written in place, where a step costs the same whatever the state holds. By how the state
    #: is kept, which has no name where there is but one way; empty where there is no step.
    steps: Mapping[str, Callable[[Any, Inputs, State, range], Steps]] = field(default_factory=dict)
    tolerance: float = 1e-4  # relative error in float32 at which outputs agree

    def title(self, way: str = "") -> str:
        """`way`: one of `steps`."""
        return ", ".join(filter(None, (self.package, self.which, way)))

    def cell(self, name: str, seq: int, **axes: Any) -> Cell:
        setting = Setting(scope=self.scope, causal=self.causal, **axes)
        return Cell(variant=name, options=dict(self.options), seq=seq, setting=setting)


def nothing_to_copy(ours: Layer, theirs: Any) -> None:
    """`Peer.copy` of a mechanism without weights."""


def known() -> dict[str, list[Peer]]:
    """All peers, by the name of our variant."""
    stems = sorted(path.stem for path in (Path(__file__).parent / "adapters").glob("[a-z]*.py"))
    modules = {stem: importlib.import_module(f"{__package__}.adapters.{stem}") for stem in stems}
    return {stem.replace("_", "-"): module.PEERS for stem, module in modules.items()}
