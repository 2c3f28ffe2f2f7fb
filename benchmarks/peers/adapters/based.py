"""flash-linear-attention: Based's Taylor polynomial in chunks, in torch.

It has no step for one token in torch: the package has one of linear attention, but the polynomial
that would go before it is in a module that wants Triton.
"""

from torch import Tensor, nn

from benchmarks.peers.adapters._fla import PACKAGE, naive
from benchmarks.peers.peer import Inputs, Peer, nothing_to_copy


def run(_: nn.Module, inputs: Inputs) -> Tensor:
    return naive("based").naive_chunk_based(*inputs)


PEERS = [Peer(**PACKAGE, make=lambda _: nn.Identity(), run=run, copy=nothing_to_copy)]
