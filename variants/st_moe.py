"""ST-MoE: each token is routed to two gated experts."""

from dataclasses import dataclass
from typing import final

from effattn_cli.attention import Card, FeedForward, SurveyRow
from effattn_cli.parts.experts import Experts, Mixture


@final
class STMoE(Mixture):
    """Routes each token to two gated experts; a loss keeps the router's logits small.

    y = g1 FFN_e1(x) + g2 FFN_e2(x), FFN_e(x) = (gelu(x V_e) * x W_e * s_e) U_e, with e1, e2 the top
    two of softmax(x W_r) and g their probabilities, normalised to sum to 1 (ST-MoE, Zoph et al.
    2022, arXiv:2202.08906).
    """

    card = Card(
        title="ST-MoE",
        families=("sparse",),
        paper="arXiv:2202.08906",
        year=2022,
        time="N",
        memory="N",
        causal="optional",
        kind="feed-forward",
        aliases=("stable-moe",),
        survey=SurveyRow(complexity="N^2", decode=True, classes="Sparse"),
        notes=(
            "the survey prints the order of the attention, which is left as it is; time and memory"
            " here are those of the feed-forward alone",
            "the router's z-loss, mean_t (logsumexp_e x_t W_r)^2, and the balancing loss belong to"
            " training and are not computed",
            "experts have 8/3 D hidden units, so that three matrices weigh what two of 4 D do",
            "the dense feed-forward that the paper adds next to the experts is left out",
            "the number of experts and the groups are those of the authors' Mesh TensorFlow code;"
            " the largest model has 64 experts",
            "groups do not reach over sequences, so that these do not compete; padding has no seat",
            "in training the second choice is made with probability g2 / 0.2, else always",
        ),
        exempt={
            "causality": "a later token's first choice takes the seat of an earlier one's second",
            "decoding": "a single token always has a seat, in a sequence it may find none",
        },
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(FeedForward.Config):
        experts: int = 16
        """Experts, each of as many parameters as the dense feed-forward."""
        capacity: float = 1.25
        """Room of an expert in training, over a group's tokens / experts."""
        eval_capacity: float = 2.0
        """The same when nothing is trained."""
        group: int = 1024
        """Tokens that share the room."""

    def __init__(self, config: Config) -> None:
        hidden = max(8, 8 * config.dim // 3 // 8 * 8)  # a multiple of 8 keeps products fast
        super().__init__(
            config,
            Experts(config.experts, config.dim, hidden, gated=True),
            choices=2,
            shares=(config.capacity, config.eval_capacity),
            group=config.group,
            sure=0.2,
        )
