"""Weights and caches of encoders and encoder-decoders, to the byte those of transformers' own."""

import json
from typing import Any

import pytest
import torch

transformers = pytest.importorskip("transformers", minversion="5.24")
from transformers.models.auto import configuration_auto, modeling_auto  # noqa: E402

from benchmarks.model_configs import model_class, parameters  # noqa: E402
from effattn_cli.architecture import Model  # noqa: E402
from effattn_cli.models import families  # noqa: E402
from effattn_cli.models.reading import understood  # noqa: E402
from tests.models.mixers import measurable  # noqa: E402
from tests.models.small_encoders import (  # noqa: E402
    BART,
    BERT,
    DECODER,
    T5,
    Case,
    cases,
    heard,
    masked,
    seen,
)

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
SOURCE, TARGET = 24, 9
#: Families of which the model without a head is another class.
HEADS = {
    *families.masked.FAMILIES, *families.masked_others.FAMILIES, *families.vision.FAMILIES,
    *families.speech.FAMILIES,
} - {"luke"}  # fmt: skip
CASES = [
    pytest.param(family, case, id=f"{family}-{number}")
    for number, (family, case) in enumerate(cases())
]


def config_of(family: str, case: Case) -> Any:
    return getattr(transformers, configuration_auto.CONFIG_MAPPING_NAMES[family])(**case)


def read(family: str, config: Any, *, whole: bool = True) -> Model:
    return understood(json.loads(config.to_json_string(use_diff=not whole)), family)


@pytest.mark.parametrize(("family", "case"), CASES)
def test_weights_are_as_many_as_those_of_transformers(family: str, case: Case) -> None:
    config = config_of(family, case)
    expected = parameters(config, model_class(family, config), language=False)
    assert read(family, config).parameters == expected


@pytest.mark.parametrize(("family", "case"), CASES)
def test_a_file_without_the_usual_keys_is_read_the_same(family: str, case: Case) -> None:
    config = config_of(family, case)
    short, full = read(family, config, whole=False), read(family, config)
    assert (short.layers, short.parameters) == (full.layers, full.parameters)


@pytest.mark.parametrize(("family", "case"), CASES)
def test_each_mixer_can_be_measured(family: str, case: Case) -> None:
    model = read(family, config_of(family, case))
    mixers = {layer.mixer for layer in model.layers if layer.mixer is not None}
    mixers |= {layer.cross for layer in model.layers if layer.cross is not None}
    assert all(measurable(model, mixer) >= 0 for mixer in mixers)


@pytest.mark.parametrize(
    ("family", "case"),
    [pytest.param(name, found[0], id=name)
     for name, found in (masked() | seen() | heard()).items() if name in HEADS],
)  # fmt: skip
def test_a_model_that_was_saved_without_a_head_has_none(family: str, case: Case) -> None:
    name = modeling_auto.MODEL_MAPPING_NAMES[family]
    kind = getattr(transformers, name if isinstance(name, str) else name[0])
    config = config_of(family, case | {"architectures": [kind.__name__]})
    assert read(family, config).parameters == parameters(config, kind, language=False)


def built(family: str, config: Any) -> Any:
    torch.manual_seed(0)
    return model_class(family, config)(config).eval()


def held(cache: Any) -> int:
    """Bytes of the keys and values."""
    return sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)


def kept(model: Model, *, source: bool) -> int:
    """The same by what is read, of the encoder's tokens or of the decoder's."""
    return sum(
        one.bytes(TARGET, "float32", SOURCE)
        for layer in model.layers
        for one in layer.keeps
        if one.source is source
    )


@pytest.mark.parametrize(
    ("family", "case"),
    [
        *((name, BART) for name in ("bart", "mbart", "pegasus", "m2m_100", "blenderbot", "marian")),
        *((name, T5) for name in ("t5", "umt5", "longt5", "switch_transformers")),
        ("nllb-moe", BART | {"num_experts": 4}),
    ],
)
@torch.no_grad()
def test_caches_of_both_lengths(family: str, case: Case) -> None:
    config = config_of(family, case)
    out = built(family, config)(
        input_ids=torch.full((1, SOURCE), 5), decoder_input_ids=torch.full((1, TARGET), 5)
    )  # fmt: skip
    model, cache = read(family, config), out.past_key_values
    assert held(cache.self_attention_cache) == kept(model, source=False)
    assert held(cache.cross_attention_cache) == kept(model, source=True)


@torch.no_grad()
def test_a_window_of_a_decoder_with_a_source_keeps_no_more() -> None:
    """T5Gemma's; of its window of 5 tokens, transformers keeps the 4 that the next step sees."""
    part = BERT | {"num_key_value_heads": 2, "head_dim": 8, "sliding_window": 5}
    config = config_of("t5gemma", {"encoder": part, "decoder": part, "vocab_size": 99})
    out = built("t5gemma", config)(
        input_ids=torch.full((1, SOURCE), 5), decoder_input_ids=torch.full((1, TARGET), 5)
    )
    model, cache = read("t5gemma", config), out.past_key_values
    assert model.parameters == parameters(config, model_class("t5gemma", config), language=False)
    assert held(cache.cross_attention_cache) == kept(model, source=True)
    windows = sum(layer.keeps[0].numbers for layer in model.layers if layer.keeps
                  and layer.keeps[0].max_tokens)  # fmt: skip
    assert held(cache.self_attention_cache) == kept(model, source=False) - 4 * windows


@pytest.mark.parametrize("family", ["t5", "mt5", "umt5", "longt5"])
def test_an_encoder_that_was_saved_alone_is_read_alone(family: str) -> None:
    name = f"{'LongT5' if family == 'longt5' else family.upper()}EncoderModel"
    config = config_of(family, T5 | {"architectures": [name]})
    expected = parameters(config, getattr(transformers, name), language=False)
    assert read(family, config).parameters == expected


@torch.no_grad()
def test_whisper_keeps_what_its_encoder_always_gives() -> None:
    case = {key: value for key, value in BART.items() if key != "max_position_embeddings"}
    config = config_of("whisper", case | {
        "max_source_positions": SOURCE, "max_target_positions": 16, "num_mel_bins": 8,
    })  # fmt: skip
    out = built("whisper", config)(
        input_features=torch.randn(1, 8, 2 * SOURCE),
        decoder_input_ids=torch.full((1, TARGET), 5), use_cache=True,
    )  # fmt: skip
    model = read("whisper", config)
    assert model.source == SOURCE
    assert held(out.past_key_values.cross_attention_cache) == kept(model, source=True)
    assert held(out.past_key_values.self_attention_cache) == kept(model, source=False)


@pytest.mark.parametrize("family", ["bert", "roberta", "megatron-bert", "ernie", "electra"])
@torch.no_grad()
def test_an_encoder_made_a_decoder_keeps_keys_and_values(family: str) -> None:
    config = config_of(family, BERT | DECODER)
    out = built(family, config)(input_ids=torch.full((1, TARGET), 5), use_cache=True)
    cache = getattr(out.past_key_values, "self_attention_cache", out.past_key_values)
    assert held(cache) == kept(read(family, config), source=False)


@torch.no_grad()
def test_a_reformer_keeps_what_comes_in_and_its_buckets() -> None:
    """Of 16 tokens, more than a chunk, and as many as its axial positions have."""
    tokens = 16
    config = config_of("reformer", {
        "vocab_size": 99, "hidden_size": 32, "is_decoder": True, "num_attention_heads": 2,
        "attn_layers": ["local", "lsh"], "attention_head_size": 24, "num_hashes": 2,
        "feed_forward_size": 48, "axial_pos_shape": [4, 4], "axial_pos_embds_dim": [8, 24],
        "max_position_embeddings": tokens, "local_attn_chunk_length": 4,
        "lsh_attn_chunk_length": 4, "num_buckets": 4,
    })  # fmt: skip
    out = built("reformer", config)(input_ids=torch.full((1, tokens), 5), use_cache=True)
    cache = out.past_buckets_states
    found = sum(one.nbytes for one in (*cache.states_cache, *cache.buckets_cache))
    model = read("reformer", config)
    keeps = [one for layer in model.layers for one in layer.keeps]
    assert found == sum(one.bytes(tokens, "float32") for one in keeps)
