"""What is measured of a model."""

import pytest
from msgspec.structs import replace

from effattn_cli.architecture import Feed, Layer, Mixer, Model
from effattn_cli.errors import UsageError
from effattn_cli.models import presets
from effattn_cli.models.cells import base, feed_text, parts
from effattn_cli.models.pieces import dense, experts, softmax
from effattn_cli.setting import Setting

DIM = 64
DECODE = Setting(phase="decode", dtype="bfloat16")
FORWARD = Setting(dtype="bfloat16")


def a_model(*layers: Layer, vocab: int = 100) -> Model:
    return Model.of(
        name="m", family="m", dim=DIM, layers=layers, vocab=vocab, embedding=DIM, head=DIM
    )


def a_mixer(kv_heads: int = 4, **more: object) -> Mixer:
    return softmax(DIM, 4, kv_heads, 16, **more)  # type: ignore[arg-type]


def test_each_kind_of_layer_is_there_once_with_its_count() -> None:
    full = Layer(mixer=a_mixer(), feed=dense(DIM, 96, "silu", gated=True))
    window = Layer(mixer=a_mixer(window=8), feed=dense(DIM, 96, "silu", gated=True))
    made = [*parts(a_model(window, window, full, window), 512, FORWARD)]
    assert [(part.role, part.cell.variant, part.count) for part in made] == [
        ("layer", "sliding-window", 3),
        ("mixer", "sliding-window", 3),
        ("layer", "sdpa", 1),
        ("mixer", "sdpa", 1),
        ("embedding", "token-embedding", 1),
        ("head", "lm-head", 1),
    ]
    layer, mixer = made[0].cell, made[1].cell
    assert layer.setting.feed == "swiglu:96"
    assert (layer.setting.scope, layer.setting.norm, layer.setting.causal) == ("block", "rms", True)
    assert (mixer.setting.scope, mixer.setting.feed) == ("layer", "relu")
    assert base(layer.setting) == base(mixer.setting) == FORWARD


def test_a_decoder_needs_the_logits_of_one_token_but_in_training() -> None:
    model = a_model(Layer(mixer=a_mixer(), feed=dense(DIM, 96, "relu")))
    heads = {
        phase: next(part.cell for part in parts(model, 512, setting) if part.role == "head")
        for phase, setting in {
            "forward": FORWARD, "decode": DECODE, "train": replace(FORWARD, phase="train"),
        }.items()
    }  # fmt: skip
    assert {phase: (cell.seq, cell.setting.phase) for phase, cell in heads.items()} == {
        "forward": (1, "forward"), "decode": (1, "decode"), "train": (512, "train"),
    }  # fmt: skip


def test_an_encoder_has_logits_of_every_token_and_does_not_decode() -> None:
    model = a_model(Layer(mixer=a_mixer(causal=False), feed=dense(DIM, 96, "gelu")))
    head = next(part for part in parts(model, 512, FORWARD) if part.role == "head")
    assert head.cell.seq == 512
    with pytest.raises(UsageError, match="m is an encoder: it does not decode"):
        list(parts(model, 512, DECODE))


def test_a_layer_of_one_half_is_measured_by_that() -> None:
    alone = Layer(mixer=a_mixer())
    feed = Layer(feed=experts(DIM, 32, "relu2", count=4, chosen=2, gated=False, shared=64))
    made = [*parts(a_model(alone, feed, vocab=0), 512, FORWARD)]
    assert [(part.role, part.cell.variant, part.cell.setting.feed) for part in made] == [
        ("layer", "sdpa", "none"), ("layer", "feed-forward", "relu2:32*4/2+64"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("activation", "text"),
    [
        ("gated silu", "swiglu:8"), ("gated gelu_pytorch_tanh", "geglu:8"), ("gelu_new", "gelu:8"),
        ("quick_gelu", "gelu:8"), ("relu2", "relu2:8"), ("swish", "silu:8"), ("relu", "relu:8"),
    ],
)  # fmt: skip
def test_an_activation_is_measured_by_its_function(activation: str, text: str) -> None:
    assert feed_text(Feed(activation=activation, width=8, parameters=1)) == text


def test_an_activation_that_is_not_known_is_refused() -> None:
    with pytest.raises(UsageError, match="the activation 'sine' is not measured"):
        feed_text(Feed(activation="sine", width=8, parameters=1))


def test_grouped_attention_has_its_own_heads_in_the_setting() -> None:
    model = presets.model("llama-3-8b")
    cell = next(parts(model, 512, FORWARD)).cell
    assert (cell.setting.heads, cell.setting.kv_heads, cell.setting.head_dim) == (32, 8, None)
