"""GLaM: each token is routed to two of 64 experts."""

from dataclasses import dataclass
from typing import final

from effattn_cli.attention import Card, FeedForward, SurveyRow
from effattn_cli.parts.experts import Experts, Mixture


@final
class GLaM(Mixture):
    """Routes each token to two of many experts, as GShard does.

    y = g1 FFN_e1(x) + g2 FFN_e2(x) with e1, e2 the top two of softmax(x W_r) and g their
    probabilities, normalised to sum to 1; experts take first choices before second ones, up to
    their capacity (GLaM, Du et al. 2021, arXiv:2112.06905).
    """

    card = Card(
        title="GLaM",
        families=("sparse",),
        paper="arXiv:2112.06905",
        year=2021,
        time="N",
        memory="N",
        causal="optional",
        kind="feed-forward",
        survey=SurveyRow(complexity="N^2", decode=True, classes="Sparse"),
        notes=(
            "the survey prints the order of the attention, which is left as it is; time and memory"
            " here are those of the feed-forward alone",
            "the experts are not gated: the paper's gated linear units stand in its dense"
            " feed-forwards, and its 1.2 T parameters leave no room for them in the experts",
            "there is no public code; the experts' relu, groups and capacities are GShard's",
            "groups do not reach over sequences, so that these do not compete; padding has no seat",
            "in training the second choice is made with probability 2 g2, else always",
        ),
        exempt={
            "causality": "a later token's first choice takes the seat of an earlier one's second",
            "decoding": "a single token always has a seat, in a sequence it may find none",
        },
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(FeedForward.Config):
        experts: int = 64
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
