"""Layers replaced by others."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effattn_cli.architecture import Mixer
from effattn_cli.cards import Stored
from effattn_cli.errors import UsageError
from effattn_cli.models import presets
from effattn_cli.models.replacing import Change, changed, kind_of, same_projections, spread
from effattn_cli.plan.model_choices import arranged, kept_shares


def test_a_quarter_kept_is_every_fourth_layer() -> None:
    model = presets.model("llama-3-8b")
    change = Change(
        kind="full_attention", variant="gated-deltanet", options={}, keep=Fraction(1, 4)
    )
    hybrid = changed(model, change)
    kinds = [layer.mixer.kind for layer in hybrid.layers if layer.mixer]
    assert kinds == (["linear_attention"] * 3 + ["full_attention"]) * 8
    assert hybrid.layers[3] == model.layers[3]
    assert hybrid.layers[0].feed == model.layers[0].feed


@given(count=st.integers(1, 200), share=st.fractions(0, 1))
def test_what_is_kept_is_as_many_as_asked_and_evenly_spread(count: int, share: Fraction) -> None:
    kept = list(spread(count, share))
    assert len(kept) == round(count * share)
    assert kept == sorted(set(kept))
    gaps = [after - before for before, after in zip([-1, *kept], kept, strict=False)]
    assert not kept or max(gaps) - min(gaps) <= 1


def test_one_layout_for_each_share() -> None:
    model = presets.model("llama-3-8b")
    layouts = arranged(model, ["full=sliding-window:window=512"], "1/2, 25%,0")
    counts = [
        sum(layer.mixer is not None and layer.mixer.variant == "gqa" for layer in layout.layers)
        for layout in layouts
    ]
    assert counts == [16, 8, 0]
    assert layouts[0].name == "llama-3-8b, full=sliding-window:window=512, 16 of 32 kept"


def mixer_of(model: str, text: str) -> Mixer:
    """The mixer that a layer of full attention gets."""
    (layout,) = arranged(presets.model(model), [f"full={text}"], None)
    mixer = layout.layers[-1].mixer
    assert mixer is not None
    return mixer


@pytest.mark.parametrize(
    ("model", "text", "options"),
    [
        ("llama-3-8b", "sliding-window:window=512", {"window": 512, "rotary": 1}),
        ("qwen3-8b", "sliding-window", {"rotary": 1, "qk_norm": True}),
        ("qwen3-8b", "sliding-window:qk_norm=false", {"rotary": 1}),
        ("qwen3-8b", "chunked", {"rotary": 1}),  # it norms no queries
        ("minimax-01", "gated-attention:rotary=1", {"rotary": 1}),
        ("gemma-2-2b", "sdpa", {"rotary": 1}),  # a soft cap is the core's
        ("llama-3-8b", "gated-deltanet", {}),
        ("gpt2", "sliding-window", {}),
    ],
)
def test_what_is_done_to_queries_and_keys_stays(
    model: str, text: str, options: dict[str, Stored]
) -> None:
    assert mixer_of(model, text).options == options


def test_a_norm_of_queries_and_keys_keeps_its_weights() -> None:
    old, new = mixer_of("qwen3-8b", "gqa"), mixer_of("qwen3-8b", "sliding-window")
    assert old.parameters == new.parameters


def test_projections_are_the_same_where_widths_are_and_what_is_done_after_them() -> None:
    old = presets.model("qwen3-8b").layers[0].mixer
    assert old is not None
    assert same_projections(old, mixer_of("qwen3-8b", "sliding-window"))
    assert not same_projections(old, mixer_of("qwen3-8b", "sliding-window:rotary=0"))
    assert not same_projections(old, mixer_of("qwen3-8b", "chunked"))
    old = presets.model("llama-3-8b").layers[0].mixer
    assert old is not None
    assert not same_projections(old, mixer_of("llama-3-8b", "sliding-window:qk_norm=true"))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("full", "--replace: 'full' is not like full=gated-deltanet"),
        ("sliding=kda", "unknown kind of layer 'sliding'"),
        ("full=family:linear", "--replace: 'family:linear' stands for"),
        ("full=gated-deltanett", "unknown variant 'gated-deltanett'"),
    ],
)
def test_a_replacement_that_cannot_be_read_is_refused(text: str, error: str) -> None:
    with pytest.raises(UsageError, match=error):
        arranged(presets.model("llama-3-8b"), [text], None)


@pytest.mark.parametrize("text", ["1", "4/3", "half", "", "1/0"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--keep: "):
        kept_shares(text)


def test_a_kind_is_named_by_its_beginning() -> None:
    model = presets.model("llama-3-8b")
    assert kind_of(model, "full") == "full_attention"
    assert kind_of(model, "all") == "all"
    with pytest.raises(UsageError, match="--keep needs --replace"):
        arranged(model, [], "1/2")
