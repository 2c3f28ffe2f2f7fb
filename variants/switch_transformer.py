"""Switch Transformer: each token is routed to one expert."""

from dataclasses import dataclass
from typing import final

from effattn_cli.attention import Card, FeedForward, SurveyRow
from effattn_cli.parts.experts import Experts, Mixture


@final
class SwitchTransformer(Mixture):
    """Routes each token to the expert with the highest router probability.

    y = p_e FFN_e(x) with p = softmax(x W_r) and e = argmax p. An expert takes the first tokens of a
    sequence up to its capacity; the others only pass through the residual (Switch Transformers,
    Fedus et al. 2021, arXiv:2101.03961).
    """

    card = Card(
        title="Switch Transformer",
        families=("sparse",),
        paper="arXiv:2101.03961",
        year=2021,
        time="N",
        memory="N",
        causal="optional",
        kind="feed-forward",
        aliases=("moe", "mixture-of-experts"),
        survey=SurveyRow(complexity="N^2", decode=True, classes="Sparse"),
        notes=(
            "the survey prints the order of the attention, which is left as it is; time and memory"
            " here are those of the feed-forward alone",
            "the paper goes up to 2048 experts, one or more a core; 8 is what transformers has",
            "capacity is counted in each sequence, as in transformers, so that sequences of a batch"
            " do not compete; padding takes no seat, but makes room, as all tokens do",
            "a single token always has a seat, in a longer sequence it may find none: where an"
            " expert overflows, decoding and forward differ",
            "the balancing loss belongs to training; in training the router's input is jittered",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(FeedForward.Config):
        experts: int = 8
        """Experts, each as large as the dense feed-forward."""
        capacity: float = 1.25
        """Room of an expert in training, over an even share of the tokens."""
        eval_capacity: float = 2.0
        """The same when nothing is trained."""
        jitter: float = 0.01
        """In training the router sees each input up to this share larger or smaller."""

    def __init__(self, config: Config) -> None:
        super().__init__(
            config,
            Experts(config.experts, config.dim, 4 * config.dim),
            choices=1,
            shares=(config.capacity, config.eval_capacity),
            jitter=config.jitter,
        )
