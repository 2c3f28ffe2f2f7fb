"""Regimes of queries, keys and values: statistics that describe trained heads.

A method that is good at one kind of attention may be bad at another: feature maps estimate flat
weights well and spiky ones badly, windows work if near tokens matter, hashes if tokens cluster.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from effattn_cli.errors import unknown


@dataclass(frozen=True, kw_only=True)
class Head:
    """Statistics of a head, to which random q, k and v are matched."""

    entropy: float  # mean, of a query's weights; as a fraction of the log of its number of keys
    rank: float = 1.0  # dimensions in which queries and keys vary, as a fraction of the width
    cosine: float = 0.0  # mean, of two keys, and of two queries
    sink: float = 0.0  # mean weight of token 0
    correlation: float = 0.0  # of a token's query, key and value with those of the previous token
    clusters: int = 0  # of tokens with similar queries, keys and values
    value_cosine: float = 0.0  # mean, of two values


#: Trained queries and keys are anisotropic (arXiv:2603.04127), and the first token acts as an
#: attention sink (arXiv:2309.17453).
ANISOTROPIC = Head(entropy=0.5, rank=0.25, cosine=0.5, sink=0.3)

#: Statistics of eight heads of all-MiniLM-L6-v2, a BERT with 6 layers, on 512 tokens of technical
#: English, mean over four texts; layers and heads count from 0. The rank is the exponential of the
#: entropy of the spectrum of the keys' covariance. A correlation, that of a key with the previous
#: one, is entered for heads that give half of their weight to the 17 tokens around a query.
CAPTURED = (
    # layer 0, head 8
    Head(entropy=0.97, rank=0.71, cosine=0.21, value_cosine=0.04),
    # layer 0, head 5
    Head(entropy=0.47, rank=0.64, cosine=0.16, correlation=0.66, value_cosine=0.12),
    # layer 1, head 4
    Head(entropy=0.45, rank=0.45, cosine=0.28, sink=0.06, correlation=0.81, value_cosine=0.04),
    # layer 1, head 11
    Head(entropy=0.32, rank=0.62, cosine=0.27, sink=0.28, correlation=0.68, value_cosine=0.08),
    # layer 2, head 7
    Head(entropy=0.83, rank=0.78, cosine=0.34, sink=0.15, value_cosine=0.09),
    # layer 3, head 8
    Head(entropy=0.52, rank=0.43, cosine=0.35, sink=0.09, correlation=0.81, value_cosine=0.15),
    # layer 4, head 5
    Head(entropy=0.69, rank=0.70, cosine=0.38, sink=0.34, value_cosine=0.21),
    # layer 5, head 3
    Head(entropy=0.84, rank=0.41, cosine=0.35, sink=0.08, value_cosine=0.14),
)

REGIMES: Mapping[str, tuple[Head, ...]] = {
    **{f"isotropic-{share:g}": (Head(entropy=share),) for share in (0.2, 0.5, 0.8, 0.95)},
    "anisotropic": (ANISOTROPIC,),
    "clustered": (Head(entropy=0.5, clusters=16),),
    "local": (Head(entropy=0.5, correlation=0.95),),
    "captured": CAPTURED,
}


def regimes(text: str, flag: str = "--regime") -> tuple[str, ...]:
    """The regimes in a comma-separated list; `isotropic` means all its temperatures, `all` all.

    Raises:
        UsageError: one is unknown.
    """
    names: dict[str, None] = {}
    for word in (item.strip().lower() for item in text.split(",")):
        named = [name for name in REGIMES if word in {"all", name, name.partition("-")[0]}]
        if not named:
            raise unknown(flag.lstrip("-"), word, [*REGIMES, "all"])
        names |= dict.fromkeys(named)
    return tuple(names)
