"""Takes memory that torch knows nothing of, until there is none."""

import numpy as np
from torch import Tensor

from effattn_cli.attention import Card, variant


@variant(
    card=Card(
        title="Takes too much",
        families=("fault",),
        paper="",
        year=2026,
        time="N",
        memory="N",
        causal="optional",
        kind="own mechanism",
    )
)
def takes_too_much(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Takes memory that torch knows nothing of, until there is none."""
    taken = [np.zeros(2**25) for _ in range(256)]
    return v + len(taken)
