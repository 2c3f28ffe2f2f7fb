"""Regimes of queries, keys and values: what trained heads are like, by what can be said of them.

A method that is good at one kind of attention may be bad at another: features estimate flat weights
well and spiky ones badly, windows are right where near tokens matter, hashes where tokens cluster.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from effattn_cli.errors import unknown


@dataclass(frozen=True, kw_only=True)
class Head:
    """Statistics of a head, which random q, k and v are made to have."""

    entropy: float  # mean, of the exact weights of a query; a share of the log of its keys' number
    rank: int | None = None  # dimensions in which queries and keys differ; None: all
    cosine: float = 0.0  # mean, of two keys, and of two queries
    sink: float = 0.0  # mean weight of token 0
    correlation: float = 0.0  # of a token's query, key and value with those of the token before
    clusters: int = 0  # of tokens that have like queries, keys and values
    value_cosine: float = 0.0  # mean, of two values


#: Trained queries and keys are anisotropic (arXiv:2603.04127), and the first token takes up weight
#: that has nowhere to go (arXiv:2309.17453).
ANISOTROPIC = Head(entropy=0.5, rank=16, cosine=0.5, sink=0.3)

REGIMES: Mapping[str, tuple[Head, ...]] = {
    **{f"isotropic-{share:g}": (Head(entropy=share),) for share in (0.2, 0.5, 0.8, 0.95)},
    "anisotropic": (ANISOTROPIC,),
    "clustered": (Head(entropy=0.5, clusters=16),),
    "local": (Head(entropy=0.5, correlation=0.95),),
}


def regimes(text: str, flag: str = "--regime") -> tuple[str, ...]:
    """The regimes that a comma list names; `isotropic` is all of those temperatures, `all` all.

    Raises:
        UsageError: one is unknown.
    """
    found: dict[str, None] = {}
    for word in (item.strip().lower() for item in text.split(",")):
        named = [name for name in REGIMES if word in {"all", name, name.partition("-")[0]}]
        if not named:
            raise unknown(flag.lstrip("-"), word, [*REGIMES, "all"])
        found |= dict.fromkeys(named)
    return tuple(found)
