"""What a card says that a swap means is true: put where softmax attention was, with its weights."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import torch
from torch import Tensor

from effattn_cli.attention import Attention, Layer, repeat_kv
from effattn_cli.attention.inputs import QKV
from effattn_cli.laws.law import Broken, H, law, make, modes, require, tokens_in, with_options

SAME = 1e-9  # in float64, of the largest value
CONVERGED, ROUNDED = 1e-6, 1e-4  # the latter in float32
TOKENS = 96
#: Lengths at which the last query must see the first token: longer than windows that are in use.
FAR, LOSSY_FAR = 4500, 1100
WEIGHTS = {f"projections.{name}" for name in ("q", "k", "v", "out")}
#: What a random estimate's error must fall to, of what it was, when its knob grows 16 times; for
#: independent draws it is a fourth.
FALLS = 0.5
SEEDS = 4


@law
@torch.no_grad()
def output_length(variant: type[Layer]) -> str | None:
    """As many tokens come out as go in, unless the card says that it shortens the sequence."""
    shortens = variant.card.shortens
    if shortens == "always":
        return "the card says that it shortens the sequence"
    for causal in modes(variant):
        if causal and shortens == "causal":
            continue
        made = make(variant, TOKENS, causal=causal)(tokens_in(TOKENS)).shape[1]
        message = f"{made} tokens come out of {TOKENS}, and the card does not say that it shortens"
        require(made == TOKENS, message)
    return None


@law
@torch.no_grad()
def swap(variant: type[Layer]) -> str | None:
    """An exact variant is softmax attention to 1e-9, on hostile inputs too; a lossy one is with its
    knob at the end that the card names, to 1e-6, or comes ever nearer to it. Neither has a weight
    but the projections of q, k, v and the output.
    """
    card = variant.card
    if card.swap == "trained":
        return "the card says trained"
    if not issubclass(variant, Attention) or dict(variant.inputs) != dict(QKV):
        raise Broken(f"the card says {card.swap}, but it does not mix values by queries and keys")
    for claimed in _claimed(variant):
        for causal in modes(variant):
            if causal in card.swap_if.get("causal", (False, True)):
                _has_no_weights_of_its_own(claimed, causal=causal)
                if card.swap == "exact":
                    _is_softmax(claimed, SAME, causal=causal)
                    _sees_far(claimed, FAR, causal=causal)
                else:
                    _converges(claimed, causal=causal)
    return None


def _claimed(variant: type[Attention]) -> Iterator[type[Attention]]:
    """With all the options with which the card says that it holds."""
    conditions = {name: some for name, some in variant.card.swap_if.items() if name != "causal"}
    for values in product(*conditions.values()):
        yield with_options(variant, dict(zip(conditions, values, strict=True)))


def _has_no_weights_of_its_own(variant: type[Attention], *, causal: bool) -> None:
    layer, card = make(variant, TOKENS, causal=causal), variant.card
    names = {name.partition(".weight")[0] for name, _ in layer.named_parameters()}
    if own := names - WEIGHTS:
        raise Broken(f"the card says {card.swap}, but it has weights of its own: {min(own)}")
    if missing := WEIGHTS - names:
        raise Broken(f"the card says {card.swap}, but it has no {min(missing)}")
    shares = layer.kv_heads < layer.heads and not card.own_kv_heads
    require(not shares, "the card does not say that it has fewer kv heads unless told")


def _converges(variant: type[Attention], *, causal: bool) -> None:
    knobs = variant.card.knobs
    require(bool(knobs), "the card says lossy, and names no knob that makes it exact")
    for knob, end in knobs.items():
        if end == "limit":
            _comes_nearer(variant, knob, causal=causal)
            continue
        near, far = (
            with_options(variant, {knob: {"N": tokens, "2 N": 2 * tokens, "1": 1}[end]})
            for tokens in (TOKENS, LOSSY_FAR)
        )
        _is_softmax(near, CONVERGED, causal=causal)
        _sees_far(far, LOSSY_FAR, causal=causal)


def _is_softmax(variant: type[Attention], tolerance: float, *, causal: bool) -> None:
    """The core on hostile inputs, with padding, and the layer from x on."""
    for kv_heads in (H, H // 2):
        shape = {"causal": causal, "kv_heads": kv_heads}
        layer = make(variant, TOKENS, dtype=torch.float64, **shape)
        for what, qkv in _hostile(layer):
            _near(layer.mix(*qkv, None), softmax(*qkv, causal=causal), tolerance, what)
        q_BHTK, k_BGTK, v_BGTK = layer.project(tokens_in(TOKENS, dtype=torch.float64))
        qkv = q_BHTK, k_BGTK, v_BGTK
        whole = layer(tokens_in(TOKENS, dtype=torch.float64))
        _near(whole, layer.output(softmax(*qkv, causal=causal)), tolerance, "the whole layer")
        if layer.card.padding:
            valid_BT = torch.arange(TOKENS) < torch.tensor([[TOKENS], [TOKENS // 3]])
            got, want = layer.mix(*qkv, valid_BT), softmax(*qkv, valid_BT, causal=causal)
            valid_BxTx = valid_BT[:, None, :, None]
            _near(got * valid_BxTx, want * valid_BxTx, tolerance, "padding")


def _sees_far(variant: type[Attention], tokens: int, *, causal: bool) -> None:
    """The last query asks for the first key: a window that has not grown does not have it."""
    layer = make(variant, tokens, causal=causal, kv_heads=H)
    generator = torch.Generator().manual_seed(3)
    heads = 1, layer.heads, tokens, layer.head_dim
    q, k, v = (torch.randn(heads, generator=generator) for _ in range(3))
    k[:, :, 0] = 9 * q[:, :, -1]
    last = layer.mix(q, k, v, None)[:, :, -1:]
    _near(last, softmax(q[:, :, -1:], k, v, causal=False), ROUNDED, f"{tokens} tokens")


def _hostile(layer: Attention) -> Iterator[tuple[str, tuple[Tensor, Tensor, Tensor]]]:
    """Queries, keys and values, each with what is hard about them."""
    torch.manual_seed(2)
    for tokens in (1, 2, 7, TOKENS):
        yield f"{tokens} tokens", _random(layer, tokens)
    q_BHTK, k_BGTK, v_BGTK = _random(layer, TOKENS)
    yield "large logits", (30 * q_BHTK, 30 * k_BGTK, v_BGTK)
    one_BGTK = k_BGTK.clone()
    one_BGTK[:, :, TOKENS // 2] = 50 * q_BHTK[:, : layer.kv_heads, 0]
    yield "one dominant key", (q_BHTK, one_BGTK, v_BGTK)
    yield "equal keys", (q_BHTK, k_BGTK[:, :, :1].expand_as(k_BGTK).clone(), v_BGTK)


def _random(layer: Attention, tokens: int) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = (spec.random(layer, 2, tokens, dtype=torch.float64) for spec in layer.inputs.values())
    return q, k, v


def softmax(
    q_BHTK: Tensor,
    k_BGTK: Tensor,
    v_BGTK: Tensor,
    valid_BT: Tensor | None = None,
    *,
    causal: bool,
) -> Tensor:
    """Softmax attention as it is defined, with all its scores."""
    k_BHTK, v_BHTK = (repeat_kv(x, q_BHTK.shape[1]) for x in (k_BGTK, v_BGTK))
    scores_BHTT = q_BHTK @ k_BHTK.mT / q_BHTK.shape[-1] ** 0.5
    if causal:
        later_TT = torch.ones(scores_BHTT.shape[-2:], dtype=torch.bool).triu(1)
        scores_BHTT = scores_BHTT.masked_fill(later_TT, -torch.inf)
    if valid_BT is not None:
        scores_BHTT = scores_BHTT.masked_fill(~valid_BT[:, None, None], -torch.inf)
    return scores_BHTT.softmax(-1) @ v_BHTK


def _near(got: Tensor, want: Tensor, tolerance: float, what: str) -> None:
    require(got.shape == want.shape, f"{what}: gives {tuple(got.shape)} for {tuple(want.shape)}")
    error = ((got - want).abs().max() / want.abs().max().clamp(min=1)).item()
    require(error <= tolerance, f"{what}: is off softmax attention by {error:.2g}")


def _comes_nearer(variant: type[Attention], knob: str, *, causal: bool) -> None:
    """The error with 16 times the knob is a fraction of what it was, over several draws."""
    usual: Any = getattr(variant.Config(), knob)
    require(isinstance(usual, int), f"the knob {knob} is no whole number")
    few = max(1, usual // 4)
    errors = [
        _error(with_options(variant, {knob: size}), causal=causal) for size in (few, 16 * few)
    ]
    message = f"with {knob}={few} it is {errors[0]:.2g} off softmax attention, with {16 * few}"
    message += f" {errors[1]:.2g}: the card says that it converges"
    require(errors[1] <= FALLS * errors[0], message)


def _error(variant: type[Attention], *, causal: bool) -> float:
    """In parts of the output's norm, on average over inputs whose scores are small: where they are
    large, estimates by random features take more than a test can draw.
    """
    tokens = 4 * TOKENS
    layer = make(variant, tokens, dtype=torch.float64, causal=causal)
    shape = 2, layer.heads, tokens, layer.head_dim
    errors = []
    for seed in range(SEEDS):
        generator = torch.Generator().manual_seed(seed)
        q, k, v = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(3))
        want = softmax(q / 2, k / 2, v, causal=causal)
        got = layer.mix(q / 2, k / 2, v, None)
        errors.append(((got - want).norm() / want.norm()).item())
    return sum(errors) / SEEDS
