"""What adapters of flash-linear-attention share: its definitions in torch, which its kernels are
tested against. The package around them wants Triton, so each is loaded from its file.
"""

from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmarks.peers.peer import Inputs, State
from effattn_cli.parts.recurrent import Memory

PACKAGE: dict[str, Any] = {"package": "fla-core", "module": "fla", "causal": True}


@cache
def naive(operator: str) -> Any:
    package = find_spec("fla")
    assert package is not None
    assert package.submodule_search_locations
    path = Path(package.submodule_search_locations[0]) / "ops" / operator / "naive.py"
    spec = spec_from_file_location(f"fla_naive_{operator}", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def by_token(inputs: Inputs) -> list[Tensor]:
    """(B, T, H, ...) of (B, H, T, ...), and the other way round."""
    return [x.transpose(1, 2) for x in inputs]


def of_one_token(inputs: Inputs) -> list[Tensor]:
    """(B, 1, H, ...) of (B, H, ...)."""
    return [x.unsqueeze(1) for x in inputs]


def matrix(_: Any, ours: Memory) -> State:
    """`Peer.state` of a rule whose state is the matrix of each head."""
    return (ours.matrix_BHKV,)
