"""Shapes of known models, and of a Hugging Face config.json."""

import json
from pathlib import Path

import pytest
from torch._subclasses.fake_tensor import FakeTensorMode

from effattn_cli.catalog import Catalog, load
from effattn_cli.errors import UsageError
from effattn_cli.measure.workload import build
from effattn_cli.models.presets import configs
from effattn_cli.plan.cells import plan
from effattn_cli.plan.presets import own_mixers, shape_like
from effattn_cli.plan.request import Request


def widths(text: str) -> tuple[int, int, int, int]:
    shape = shape_like(text)
    return shape.dim, shape.heads, shape.kv_heads, shape.head_dim


def config(folder: Path, **keys: object) -> str:
    path = folder / "config.json"
    path.write_text(json.dumps(keys))
    return str(path)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("bert-base", (768, 12, 12, 64)),
        ("Llama-3-8B", (4096, 32, 8, 128)),
        ("gpt-oss-20b", (2880, 64, 8, 64)),
        ("t5-3b", (1024, 32, 32, 128)),
    ],
)
def test_presets(name: str, shape: tuple[int, ...]) -> None:
    assert widths(name) == shape


@pytest.mark.parametrize("name", configs())
def test_kv_heads_divide_the_heads(name: str) -> None:
    shape = shape_like(name)
    assert shape.heads % shape.kv_heads == 0


@pytest.mark.parametrize(
    ("text", "hint"),
    [("bert-bas", "did you mean 'bert-base'?"),
     ("meta-llama/Llama-3.1-8B", "did you mean 'llama-3-8b'?")],
)  # fmt: skip
def test_the_nearest_preset_is_named(text: str, hint: str) -> None:
    with pytest.raises(UsageError, match=r"^unknown model") as caught:
        shape_like(text)
    assert caught.value.hint == hint


@pytest.mark.parametrize("text", ["", "\0", "x" * 10_000, "/dev"])
def test_what_is_no_preset(text: str) -> None:
    with pytest.raises(UsageError):
        shape_like(text)


@pytest.mark.parametrize(
    ("keys", "shape"),
    [
        ({"model_type": "llama", "hidden_size": 4096, "num_attention_heads": 32,
          "num_key_value_heads": 8}, (4096, 32, 8, 128)),
        ({"model_type": "gpt2", "n_embd": 1600, "n_head": 25}, (1600, 25, 25, 64)),
        ({"model_type": "t5", "d_model": 1024, "num_heads": 32, "d_kv": 128}, (1024, 32, 32, 128)),
        ({"model_type": "distilbert", "dim": 768, "n_heads": 12}, (768, 12, 12, 64)),
        ({"model_type": "falcon", "hidden_size": 4544, "num_attention_heads": 71,
          "multi_query": True}, (4544, 71, 1, 64)),
        ({"model_type": "gpt_oss", "hidden_size": 2880, "num_attention_heads": 64,
          "num_key_value_heads": 8, "head_dim": 64}, (2880, 64, 8, 64)),
        ({"model_type": "llava", "hidden_size": 99, "text_config": {
            "model_type": "llama", "hidden_size": 512, "num_attention_heads": 8,
            "num_key_value_heads": 8, "head_dim": 64}}, (512, 8, 8, 64)),
        ({"model_type": "chatglm", "hidden_size": 4096, "ffn_hidden_size": 13696, "num_layers": 28,
          "num_attention_heads": 32, "multi_query_attention": True, "multi_query_group_num": 2,
          "kv_channels": 128, "padded_vocab_size": 65024, "seq_length": 8192},
         (4096, 32, 2, 128)),
        ({"dim": 4096, "n_layers": 32, "n_heads": 32, "n_kv_heads": 8, "vocab_size": 128256,
          "ffn_dim_multiplier": 1.3, "multiple_of": 1024, "norm_eps": 1e-5},
         (4096, 32, 8, 128)),
        ({"model_type": "reformer", "is_decoder": True, "hidden_size": 256,
          "num_attention_heads": 12, "attention_head_size": 64, "feed_forward_size": 512,
          "attn_layers": ["local", "lsh"] * 3, "axial_pos_embds": False},
         (256, 12, 12, 64)),
    ],
)  # fmt: skip
def test_reads_a_config(tmp_path: Path, keys: dict[str, object], shape: tuple[int, ...]) -> None:
    assert widths(config(tmp_path, **keys)) == shape
    assert widths(str(tmp_path)) == shape


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"num_heads": 8}, "there is no key 'model_type'"),
        ({"model_type": "llama", "hidden_size": "8"},
         "hidden_size: expected a positive whole number, got 8"),
        ({"model_type": "llama", "hidden_size": True},
         "hidden_size: expected a positive whole number, got True"),
        ({"model_type": "gpt2", "n_embd": 10, "n_head": [2, 4]},
         "n_head: expected a positive whole number, got [2, 4]"),
        ({"model_type": "nothing-like-it"}, "unknown model_type 'nothing-like-it'"),
    ],
)  # fmt: skip
def test_says_what_a_config_lacks(tmp_path: Path, keys: dict[str, object], says: str) -> None:
    path = config(tmp_path, **keys)
    with pytest.raises(UsageError) as caught:
        shape_like(path)
    assert str(caught.value) == f"{path}: {says}"
    assert caught.value.hint == "give --dim, --heads, --kv-heads and --head-dim"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON: "),
        ("[1]", "not a model's config"),
        pytest.param("[" * 100_000, "not JSON: ", id="deep"),
        ('{"dim": ' + "9" * 5000 + "}", "not JSON: "),
        ('{"model_type": "gpt2", "n_embd": 1e400}', "n_embd: expected a positive whole number"),
        pytest.param(" " * (2**24 + 1), "larger than 16 MiB", id="a large file"),
    ],
)
def test_says_what_is_no_config(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        shape_like(str(path))
    assert str(caught.value).startswith(f"{path}: {says}")


def test_a_missing_or_binary_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^there is no file '.*none\.json'$"):
        shape_like(str(tmp_path / "none.json"))
    path = tmp_path / "binary.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"^cannot read '.*binary\.json': it is not text$"):
        shape_like(str(path))


def own_cells(like: str, **axes: str) -> dict[str, tuple[int, int | None]]:
    """The label of each cell, with the heads and the head width of its setting."""
    request = Request(variant=("own",), like=like, seq="1k", baseline="none", axes=axes)
    cells = plan(request, Catalog(), 2).cells
    return {cell.label: (cell.setting.heads, cell.setting.head_dim) for cell in cells}


@pytest.mark.parametrize("name", configs())
def test_the_own_mixers_of_every_preset_can_be_made(name: str) -> None:
    """With the width of the model and few tokens, at every scope."""
    request = Request(
        variant=("own",), like=name, seq="16", baseline="none",
        axes={"scope": "core,layer", "causal": "yes"},
    )  # fmt: skip
    catalog = Catalog()
    cells = plan(request, catalog, 2).cells
    assert len(cells) == 2 * len(own_mixers(name))
    with FakeTensorMode(allow_non_fake_inputs=True):
        for cell in cells:
            build(load(cell.variant), cell, device="cpu")


def test_a_hybrid_has_several_each_with_its_shape() -> None:
    assert own_cells("qwen3-next", causal="yes") == {
        "gated-deltanet:key_heads=16,kv_heads=32": (32, 128),
        "gated-attention": (16, 256),
    }


def test_a_layer_has_what_a_core_has_not() -> None:
    assert "gated-attention:rotary=0.25,qk_norm=True" in own_cells("qwen3-next", scope="layer")


def test_what_is_not_special_is_plain_attention() -> None:
    assert set(own_cells("llama-3-8b")) == {"gqa"}
    assert set(own_cells("gpt2")) == {"sdpa"}


def test_a_slip_in_the_name_of_a_model_leads_to_its_mixers() -> None:
    with pytest.raises(UsageError, match=r"^unknown model 'qwen3-nxt'$") as caught:
        own_mixers("qwen3-nxt")
    assert caught.value.hint == "did you mean 'qwen3-next'?"


@pytest.mark.parametrize(
    ("like", "message"),
    [
        (None, "'own' stands for the mixers of a model, and none is named"),
        ("some/config.json", "there is no file 'some/config.json'"),
    ],
)
def test_own_needs_a_model_whose_mixers_are_known(like: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}$"):
        own_mixers(like)
