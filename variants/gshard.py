"""GShard: each token is routed to two experts."""

from dataclasses import dataclass
from typing import final

from effattn_cli.attention import Card, FeedForward, SurveyRow
from effattn_cli.parts.experts import Experts, Mixture


@final
class GShard(Mixture):
    """Routes each token to two experts, whose capacity is shared within groups of tokens.

    y = g1 FFN_e1(x) + g2 FFN_e2(x) with e1, e2 the top two of p = softmax(x W_r) and g their p,
    normalised to sum to 1. In each group, an expert takes first choices before second ones, in
    token order, up to its capacity (GShard, Lepikhin et al. 2020, arXiv:2006.16668).
    """

    card = Card(
        title="GShard",
        families=("sparse",),
        paper="arXiv:2006.16668",
        year=2020,
        time="N",
        memory="N",
        causal="optional",
        kind="feed-forward",
        survey=SurveyRow(complexity="N^2", decode=True, classes="Sparse"),
        notes=(
            "the survey prints the order of the attention, which is left as it is; time and memory"
            " here are those of the feed-forward alone",
            "the paper has 128 to 2048 experts over as many cores; 16 and groups of 1024 are what"
            " the authors' Mesh TensorFlow code has",
            "groups do not reach over sequences, so that these do not compete; padding has no seat",
            "in training the second choice is made with probability 2 g2, else always",
            "the balancing loss belongs to training",
        ),
        exempt={
            "causality": "a later token's first choice takes the seat of an earlier one's second",
            "decoding": "a single token always has a seat, in a sequence it may find none",
        },
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(FeedForward.Config):
        experts: int = 16
        """Experts, each as large as the dense feed-forward."""
        capacity: float = 1.25
        """Room of an expert in training, over a group's tokens / experts."""
        eval_capacity: float = 2.0
        """The same when nothing is trained."""
        group: int = 1024
        """Tokens that share the room."""

    def __init__(self, config: Config) -> None:
        super().__init__(
            config,
            Experts(config.experts, config.dim, 4 * config.dim),
            choices=2,
            shares=(config.capacity, config.eval_capacity),
            group=config.group,
        )
