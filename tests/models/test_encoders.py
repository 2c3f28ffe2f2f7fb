"""Encoders, encoder-decoders and nested models, by figures that are derived here by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from effattn_cli.architecture import Model
from effattn_cli.errors import UsageError
from effattn_cli.models.families import FAMILIES, REFUSED
from effattn_cli.models.reading import read, understood
from tests.models.mixers import measurable

CONFIGS = Path(__file__).parent / "configs"
ENCODERS = ("bert-base", "xlm-roberta-base", "albert-base", "modernbert-base", "longformer-base",
            "vit-base", "wav2vec2-base")  # fmt: skip
EVERY = (*ENCODERS, "t5-small", "whisper-tiny", "llava-7b")


def model_of(name: str) -> Model:
    return read(CONFIGS / f"{name}.json")


def changed(config: str, **changes: Any) -> Model:
    data = json.loads((CONFIGS / f"{config}.json").read_text()) | changes
    return understood({key: value for key, value in data.items() if value != "absent"}, config)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # D 768, H 3072. Layer: 4(D^2 + D) + 2DH + H + D + 4D = 7,087,872. Tables: 30522 + 512 + 2
        # rows of D, and a norm 2D. Head: D^2 + D, a norm 2D, a bias of 30522.
        ("bert-base", 12 * 7_087_872 + 31_036 * 768 + 1_536 + 590_592 + 1_536 + 30_522),
        # The same with (250002 + 514 + 1) rows and a bias of 250002.
        ("xlm-roberta-base", 12 * 7_087_872 + 250_517 * 768 + 1_536 + 590_592 + 1_536 + 250_002),
        # One such layer for all; E 128: (30000 + 512 + 2) E, a norm 2E, E to D with a bias, head
        # D to E with a bias, a norm 2E, a bias of 30000.
        ("albert-base", 7_087_872 + 30_514 * 128 + 256 + 99_072 + 98_432 + 256 + 30_000),
        # No biases. Layer: 4 D^2 + 3 D 1152 + 2D = 5,015,040, the first without its first norm;
        # words 50368 D, two norms D; head D^2 + D + 50368.
        ("modernbert-base",
         22 * 5_015_040 - 768 + 50_368 * 768 + 2 * 768 + 768 * 768 + 768 + 50_368),
        # BERT's layer with three more projections, 3(D^2 + D); (50265 + 4098 + 1) rows.
        ("longformer-base",
         12 * (7_087_872 + 3 * 590_592) + 54_364 * 768 + 1_536 + 590_592 + 1_536 + 50_265),
        # D 512, 8 heads of 64: 4 D^2 an attention, 2 D 2048 a feed-forward. Encoder layer: both and
        # 2D; decoder layer: two attentions and 3D. Around: 2 final norms D, 2 tables of 32 x 8.
        ("t5-small", 6 * (1_048_576 + 2_097_152 + 1_024) + 6 * (2_097_152 * 2 + 1_536)
         + 32_128 * 512 + 2 * 512 + 2 * 256),
        # D 384, H 1536. Attention 4 D^2 + 3D (keys have no bias); feed-forward 2DH + H + D.
        # Encoder layer: both + 4D; decoder layer: two attentions + 6D. Front: 3D 80 + D + 3D^2 + D.
        # Tables: (51865 + 448 + 1500) D. Two final norms 2D.
        ("whisper-tiny", 4 * (590_976 + 1_181_568 + 1_536) + 4 * (2 * 590_976 + 1_181_568 + 2_304)
         + 92_160 + 442_368 + 768 + 53_813 * 384 + 1_536),
        # BERT's layers; 14 x 14 patches of 768 numbers: D 768 + D; [CLS], 197 places, a norm, and
        # ten classes.
        ("vit-base", 12 * 7_087_872 + 590_592 + 198 * 768 + 1_536 + 7_690),
        # BERT's layers. Front: 512 x (10 + 4 x 3 x 512 + 2 x 2 x 512) and a norm 1024; 512 to D
        # with a norm 1024; places: 768 x 48 x 128 + 768 + 128; a norm 2D, a mask D, 32 letters.
        ("wav2vec2-base", 12 * 7_087_872 + 512 * (10 + 16 * 512) + 1_024 + 1_024 + 393_984
         + 4_718_592 + 768 + 128 + 1_536 + 768 + 24_608),
        # Llama 7B with 32064 words: layer 4 x 4096^2 + 3 x 4096 x 11008 + 2 x 4096 = 202,383,360;
        # two tables, a norm. CLIP: D 1024, H 4096: layer 12,596,224; 577 places, [CLS], patches of
        # 588 numbers without a bias, two norms 2D. Projector: 1024 to 4096 to 4096 with biases.
        ("llava-7b", 32 * 202_383_360 + 2 * 32_064 * 4_096 + 4_096
         + 24 * 12_596_224 + 578 * 1_024 + 588 * 1_024 + 4_096 + 1_025 * 4_096 + 4_097 * 4_096),
    ],
)  # fmt: skip
def test_parameters(name: str, expected: int) -> None:
    assert model_of(name).parameters == expected


@pytest.mark.parametrize("name", ENCODERS)
def test_encoders_see_both_ways_and_keep_nothing(name: str) -> None:
    for layer in model_of(name).layers:
        assert layer.stack == "encoder"
        assert layer.mixer is not None
        assert not layer.mixer.causal
        assert layer.keeps == ()


@pytest.mark.parametrize(
    ("name", "positions"),
    [
        ("bert-base", 512),
        ("xlm-roberta-base", 512),  # the first two of its 514 rows are of padding and before it
        ("longformer-base", 4096),
        ("modernbert-base", 8192),
        ("vit-base", 197),
        ("whisper-tiny", 448),
        ("llava-7b", 4096),
        ("wav2vec2-base", None),
    ],
)
def test_context_is_the_positions_that_tokens_are_given(name: str, positions: int | None) -> None:
    assert model_of(name).context == positions


@pytest.mark.parametrize("name", EVERY)
def test_each_mixer_is_accepted_by_its_variant(name: str) -> None:
    model = model_of(name)
    for layer in model.distinct():
        for mixer in (layer.mixer, layer.cross):
            assert mixer is None or measurable(model, mixer) > 0


def test_an_encoder_of_sentences_has_no_head_and_a_pooler() -> None:
    """As bge-base, of which 109,482,240 parameters are published."""
    model = changed("bert-base", architectures=["BertModel"])
    assert (model.parameters, model.head, model.notes) == (109_482_240, 0, ())


def test_layers_that_share_weights_count_once_and_are_all_there() -> None:
    model = model_of("albert-base")
    assert [layer.repeated for layer in model.layers] == [False] + [True] * 11
    assert list(model.distinct().values()) == [12]
    two = changed("albert-base", num_hidden_groups=2)
    assert [at for at, layer in enumerate(two.layers) if not layer.repeated] == [0, 6]
    assert two.parameters == model.parameters + 7_087_872


def test_windows_are_every_third_layer_s_absence() -> None:
    windows = [layer.mixer.options.get("window") for layer in model_of("modernbert-base").layers
               if layer.mixer is not None]  # fmt: skip
    assert windows == [None if at % 3 == 0 else 128 for at in range(22)]


def test_keys_of_the_source_are_told_from_those_of_the_sequence() -> None:
    """Whisper tiny in float16: four layers of 2 x 384 numbers of each token, and of each of 1500
    positions of the encoder's output.
    """
    model = model_of("whisper-tiny")
    keeps = [one for layer in model.layers for one in layer.keeps]
    own = sum(one.bytes(100, "float16", 1500) for one in keeps if not one.source)
    of_source = sum(one.bytes(100, "float16", 1500) for one in keeps if one.source)
    assert (own, of_source) == (4 * 768 * 100 * 2, 4 * 768 * 1500 * 2)
    assert (model.source, model.dtype) == (1500, "float16")


def test_an_encoder_made_a_decoder_is_causal_and_keeps() -> None:
    model = changed("bert-base", is_decoder=True)
    keeps = [one for layer in model.layers for one in layer.keeps]
    assert sum(one.bytes(10, "float32") for one in keeps) == 12 * 2 * 768 * 10 * 4
    assert all(layer.mixer is not None and layer.mixer.causal for layer in model.layers)


def test_a_key_beside_a_nested_model_does_not_mislead() -> None:
    """The file says `hidden_size` 99 on top."""
    model = model_of("llava-7b")
    assert (model.dim, len(model.layers), model.vocab) == (4096, 32, 32064)
    assert model.dtype == "float16"
    assert any("llama" not in note and "layers are not in the list" in note for note in model.notes)


def test_a_tower_that_is_not_known_is_left_out_and_said() -> None:
    model = changed("llava-7b", vision_config={"model_type": "resnet"})
    assert any(note.startswith("language model only") for note in model.notes)
    assert model.parameters == 32 * 202_383_360 + 2 * 32_064 * 4_096 + 4_096


def test_older_files_have_the_language_model_beside_its_tower() -> None:
    """As Qwen2-VL's first ones; the tower's keys are not there, and are as usual."""
    flat = {"model_type": "qwen2_vl", "hidden_size": 1536, "intermediate_size": 8960,
            "num_attention_heads": 12, "num_hidden_layers": 28, "num_key_value_heads": 2,
            "vocab_size": 151936, "tie_word_embeddings": True,
            "vision_config": {"depth": 32, "embed_dim": 1280, "hidden_size": 1536}}  # fmt: skip
    model = understood(flat, "qwen2_vl")
    assert (model.dim, len(model.layers), model.tied) == (1536, 28, True)
    assert model.parameters == 2_208_985_600  # as its card says: 2.21 B


@pytest.mark.parametrize(
    ("config", "changes", "said"),
    [
        ("bert-base", {"add_cross_attention": True}, "add_cross_attention = True"),
        ("bert-base", {"position_embedding_type": "relative_key"}, "relative_key"),
        ("bert-base", {"model_type": "deberta-v2", "relative_attention": True}, "disentangled"),
        ("bert-base", {"model_type": "funnel"}, "pooled tokens"),
        ("bert-base", {"model_type": "big_bird", "is_decoder": True}, "not causal"),
        ("longformer-base", {"attention_window": [512]}, "expected 12 even numbers"),
        ("modernbert-base", {"layer_types": ["full_attention"]}, "layer_types"),
        ("t5-small", {"feed_forward_proj": "odd-gelu"}, "odd-gelu"),
        ("t5-small", {"model_type": "longt5", "encoder_attention_type": "transient-global"},
         "transient-global"),
        ("whisper-tiny", {"decoder_attention_heads": 5}, "decoder_attention_heads = 5"),
        ("wav2vec2-base", {"conv_kernel": [10]}, "conv_dim"),
        ("wav2vec2-base", {"add_adapter": True}, "add_adapter"),
        ("llava-7b", {"text_config": {"model_type": "funnel"}}, "text_config: funnel is not read"),
        ("llava-7b", {"text_config": "absent"}, "text_config"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_by_key_and_value(
    config: str, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        changed(config, **changes)


def test_what_is_refused_is_not_read_and_has_a_reason_that_fits_a_line() -> None:
    assert not set(REFUSED) & set(FAMILIES)
    assert all(20 < len(why) < 120 for why in REFUSED.values())
