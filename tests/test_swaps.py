"""What a card says that a swap means, and the law that holds it to that."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from effattn_cli import catalog, laws
from effattn_cli.attention import Attention, Card, Layer, PlainModule
from effattn_cli.cards import replaces_attention
from effattn_cli.catalog import Catalog
from effattn_cli.laws.law import with_options
from tests.builders import a_card


def card(**facts: Any) -> Card:
    usual: dict[str, Any] = {"causal": "never", "padding": False}
    return a_card(**(usual | facts))


class Plain(Attention):
    """Softmax attention at another temperature: what it says is for each test to say."""

    card = card()
    temperature = 1.0

    @dataclass(frozen=True, kw_only=True)
    class Config(Attention.Config):
        reach: int = 8

    config: Any

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        return scaled_dot_product_attention(q_BHTK * self.temperature, k_BHTK, v_BHTK)


def claims(base: type[Layer] = Plain, **facts: Any) -> type[Layer]:
    return type("Claims", (base,), {"card": card(**facts)})


class Warm(Plain):
    temperature = 1.0001


class Weighted(Plain):
    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.gain_H11 = nn.Parameter(torch.ones(config.heads, 1, 1))

    def attend(self, *inputs: Any, **more: Any) -> Tensor:
        return super().attend(*inputs, **more) * self.gain_H11


class Projected(Plain):
    """The core is exact, the layer around it is not."""

    def output(self, y_BHTV: Tensor) -> Tensor:
        return super().output(y_BHTV)

    def forward(self, x_BTD: Tensor, valid_BT: Tensor | None = None) -> Tensor:
        return super().forward(x_BTD, valid_BT) + 1e-6 * x_BTD


class Windowed(Plain):
    """Exact as long as nobody looks farther back than 256 tokens."""

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        position_T = torch.arange(q_BHTK.shape[2])
        near_TT = (position_T[:, None] - position_T).abs() < 256
        return scaled_dot_product_attention(q_BHTK, k_BHTK, v_BHTK, near_TT)


class Few(Plain):
    kv_share = 2


class Nearer(Plain):
    """As warm as its knob is small."""

    def attend(self, q_BHTK: Tensor, *inputs: Any, **more: Any) -> Tensor:
        return super().attend(q_BHTK * (1 + 1 / self.config.reach), *inputs, **more)


class Shorter(Plain):
    def output_mask(self, valid_BT: Tensor) -> Tensor:
        return valid_BT[:, ::2]

    def attend(self, *inputs: Any, **more: Any) -> Tensor:
        return super().attend(*inputs, **more)[:, :, ::2]


LIMIT = {"swap": "lossy", "knobs": {"reach": "limit"}}


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        (claims(Warm, swap="exact"), "1 tokens|2 tokens: is off softmax attention"),
        (claims(Weighted, swap="exact"), "has weights of its own: gain_H11"),
        (claims(Weighted, **LIMIT), "has weights of its own: gain_H11"),
        (claims(Windowed, swap="exact"), "4500 tokens: is off softmax attention by"),
        (
            claims(Windowed, swap="lossy", knobs={"reach": "N"}),
            "1100 tokens: is off softmax attention by",
        ),
        (claims(Projected, swap="exact"), "the whole layer: is off softmax attention by"),
        (claims(Few, swap="exact"), "fewer kv heads unless told"),
        (claims(Plain, swap="lossy"), "names no knob"),
        (claims(Warm, **LIMIT), "with reach=2 it is .* the card says that it converges"),
        (claims(Nearer, swap="lossy", knobs={"reach": "N"}), "is off softmax attention"),
        (claims(PlainModule.of(nn.Identity), swap="exact"), "does not mix values by queries"),
    ],
)
def test_a_card_that_claims_more_is_broken(variant: type[Layer], words: str) -> None:
    with pytest.raises(laws.Broken, match=words):
        laws.LAWS["swap"](variant)


@pytest.mark.parametrize(
    "variant",
    [
        claims(Plain, swap="exact"),
        claims(Nearer, **LIMIT),
        claims(Few, swap="exact", own_kv_heads=True),
    ],
)
def test_a_true_claim_holds(variant: type[Layer]) -> None:
    assert laws.LAWS["swap"](variant) is None


def test_a_claim_is_held_with_the_options_that_it_names() -> None:
    conditional = with_options(catalog.load("nystromformer"), {"kernel": 5})
    assert laws.LAWS["swap"](conditional) is None  # with kernel=0, as its card says


def test_fewer_tokens_have_to_be_told() -> None:
    with pytest.raises(laws.Broken, match="48 tokens come out of 96"):
        laws.LAWS["output length"](claims(Shorter))
    assert laws.LAWS["output length"](claims(Shorter, shortens="always"))


@pytest.mark.parametrize(
    ("name", "options", "setting", "swap"),
    [
        ("sdpa", {}, {}, "exact"),
        ("sdpa", {"rotary": 1.0}, {}, "exact"),
        ("gqa", {}, {}, "trained"),  # its kv heads are not those of the model
        ("gqa", {}, {"kv_heads": True}, "exact"),
        ("gqa", {"softcap": 50.0}, {"kv_heads": True}, "trained"),
        ("sliding-window", {"sinks": "first"}, {}, "lossy"),
        ("sliding-window", {"sinks": "learned"}, {}, "trained"),
        ("nystromformer", {}, {}, "trained"),
        ("nystromformer", {"kernel": 0}, {}, "lossy"),
        ("longformer", {}, {}, "trained"),
        ("longformer", {}, {"causal": True}, "lossy"),
        ("performer", {"kernel": "relu"}, {}, "trained"),
        ("reformer", {}, {}, "trained"),  # queries are its keys
        ("gated-deltanet", {}, {"causal": True}, "trained"),
    ],
)
def test_what_the_swap_takes(
    name: str, options: dict[str, Any], setting: dict[str, bool], swap: str
) -> None:
    asked = {"causal": False, "kv_heads": False} | setting
    assert Catalog().variant(name).swap(options, **asked) == swap


def test_what_can_stand_where_attention_stood() -> None:
    cards = {name: Catalog().variant(name).card for name in Catalog().names()}
    shorter = {name for name in cards if not replaces_attention(cards[name], causal=False)}
    experts = {name for name in cards if cards[name].kind == "feed-forward"}
    shorter -= experts
    assert shorter == {"charformer", "funnel-transformer", "token-learner", "kv-sharing"}
    assert not replaces_attention(cards["perceiver"], causal=True)


@pytest.mark.parametrize("name", catalog.bundled_names())
def test_what_keeps_the_weights_is_exact_or_approximates_softmax(name: str) -> None:
    facts = Catalog().variant(name).card
    kinds = {"exact": {"exact"}, "lossy": {"approximates softmax"}}
    assert facts.kind in kinds.get(facts.swap, {facts.kind})
    assert bool(facts.knobs) == (facts.swap == "lossy")
    options = {option.name for option in Catalog().variant(name).options} | {"causal"}
    assert {*facts.knobs, *facts.swap_if} <= options


def test_how_far_a_query_sees() -> None:
    seen = {name: Catalog().variant(name).sees({}) for name in Catalog().names()}
    near = {name: tokens for name, tokens in seen.items() if tokens is not None}
    assert near == {
        "adaptive-span": 256,
        "chunked": 256,
        "image-transformer": 512,
        "longformer": 513,
        "short-conv": 3,
        "sliding-window": 256,
        "swin-1d": 49,
        "transformer-xl": 1024,
    }
    assert Catalog().variant("sliding-window").sees({"window": 512}) == 512
