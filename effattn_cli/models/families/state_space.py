"""State-space models, and hybrids of them with attention."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from msgspec import convert
from msgspec.structs import replace

from effattn_cli.architecture import BYTES, Kept, Layer, Mixer, Model
from effattn_cli.cards import Stored
from effattn_cli.models.families.reader import Reader
from effattn_cli.models.hybrid import (
    Make,
    expert_feed,
    kinds,
    mixers,
    plain_feed,
    whole,
)
from effattn_cli.models.keys import Keys
from effattn_cli.models.mixers import named
from effattn_cli.models.pieces import softmax
from effattn_cli.setting import Dtype


@dataclass(frozen=True, kw_only=True)
class Names:
    """The keys by which a family calls the sizes of its state-space layers."""

    state: tuple[str, ...] = ("mamba_d_state",)
    conv: tuple[str, ...] = ("mamba_d_conv",)
    expand: tuple[str, ...] = ("mamba_expand",)
    bias: tuple[str, ...] = ("mamba_proj_bias",)
    conv_bias: tuple[str, ...] = ("mamba_conv_bias",)
    heads: tuple[str, ...] = ("mamba_n_heads",)
    width: tuple[str, ...] = ("mamba_d_head",)
    groups: tuple[str, ...] = ("mamba_n_groups",)
    rank: tuple[str, ...] = ("mamba_dt_rank",)
    inner: str = ""  # channels of Mamba


HYBRID = Names()
ALONE = Names(
    state=("state_size",), conv=("conv_kernel",), expand=("expand",), bias=("use_bias",),
    conv_bias=("use_conv_bias",), heads=("num_heads",), width=("head_dim",), groups=("n_groups",),
    rank=("time_step_rank",), inner="intermediate_size",
)  # fmt: skip
NEMOTRON = Names(
    state=("ssm_state_size",), conv=("mamba_d_conv", "conv_kernel"), expand=("mamba_expand",
    "expand"), bias=("use_bias",), conv_bias=("mamba_conv_bias", "use_conv_bias"),
    heads=("mamba_num_heads",), width=("mamba_head_dim",), groups=("mamba_n_groups", "n_groups"),
)  # fmt: skip


def mamba2(keys: Keys, *, names: Names = HYBRID, normed: bool = True, out: str = "") -> Mixer:
    """Mamba-2. `normed`: its output is; `out`: the key of a bias that its last projection has."""
    dim, heads = keys.count("hidden_size"), keys.count(*names.heads)
    inner = keys.count(*names.expand) * dim
    inner = keys.count("mamba_d_ssm", default=inner)
    given = keys.get(*names.width)
    width = inner // heads if given is None or given == "auto" else keys.count(*names.width)
    state, groups = keys.count(*names.state), keys.count(*names.groups)
    conv = keys.count(*names.conv)
    options: dict[str, Stored] = {} if state == 128 else {"state": state}
    options |= {} if groups == 1 else {"groups": groups}
    options |= {} if conv == 4 else {"conv": conv}
    mixer = named("mamba2", options, dim, heads, heads, width)
    channels = heads * width
    more = 0 if keys.flag(*names.conv_bias) else -(channels + 2 * groups * state)
    more -= 0 if normed else channels
    bias = keys.flag(*names.bias)
    more += (2 * channels + 2 * groups * state + heads) if bias else 0
    more += dim if (keys.flag(out) if out else bias) else 0
    keys.skip("mamba_chunk_size", "chunk_size")
    return replace(mixer, parameters=mixer.parameters + more, keeps=kept(keys, mixer))


def kept(keys: Keys, mixer: Mixer) -> tuple[Kept, ...]:
    """What a layer keeps, its state in the type that the config says."""
    name = keys.word("mamba_ssm_cache_dtype", default="float32")
    if name not in BYTES:
        raise keys.refuse("mamba_ssm_cache_dtype", f"it is none of {', '.join(BYTES)}")
    dtype = convert(name, Dtype)
    return tuple(replace(item, dtype=dtype) if item.dtype else item for item in mixer.keeps)


def mamba(keys: Keys, *, names: Names = HYBRID, norms: int | None = None) -> Mixer:
    """Mamba. `norms`: what makes steps and inputs is normed, with weights (1) or without (0)."""
    dim, state = keys.count("hidden_size"), keys.count(*names.state)
    channels = keys.count(*names.expand) * dim
    if names.inner:  # a released file may hold another expand than its weights have
        channels = keys.count(names.inner, default=channels)
    given, usual = keys.get(*names.rank), math.ceil(dim / 16)
    rank = usual if given is None or given == "auto" else keys.count(*names.rank)
    conv = keys.count(*names.conv)
    options: dict[str, Stored] = {} if state == 16 else {"state": state}
    options |= {} if rank == usual else {"dt_rank": rank}
    options |= {} if conv == 4 else {"conv": conv}
    options |= {} if norms is None else {"normed": True}
    mixer = named("mamba", options, dim, 1, 1, channels)
    more = 0 if keys.flag(*names.conv_bias) else -channels
    more += (2 * channels + dim) if keys.flag(*names.bias) else 0
    more -= (rank + 2 * state) if norms == 0 else 0
    return replace(mixer, parameters=mixer.parameters + more)


def attention(keys: Keys, *, biased: bool = True) -> Mixer:
    """Grouped attention; `biased`: a key says whether its projections have biases."""
    dim, heads = keys.count("hidden_size"), keys.count("num_attention_heads")
    kv_heads = keys.count("num_key_value_heads", default=heads)
    bias = biased and keys.flag("attention_bias")
    width = keys.count("head_dim", "attention_head_dim", default=dim // heads)
    return softmax(dim, heads, kv_heads, width, qkv_bias=bias, out_bias=bias)


def alone(keys: Keys, *, make: Callable[[Keys], Mixer], tied: bool) -> Model:
    """State-space layers alone, each with one norm."""
    keys.skip("intermediate_size", "time_step_rank", "chunk_size")
    count = keys.count("num_hidden_layers", "n_layer")
    return whole(keys, [make(keys)] * count, [None] * count, norms=1, tied=tied)


MAMBA, MAMBA2 = partial(mamba, names=ALONE), partial(mamba2, names=ALONE)


def original(keys: Keys) -> Model:
    """The config.json of the authors' own code, which has no `model_type`; rows are rounded up."""
    part = keys.part("ssm_cfg")
    second = part.word("layer", default="Mamba1") == "Mamba2"
    for key in ("attn_layer_idx", "d_intermediate"):
        if keys.get(key):
            raise keys.refuse(key, "only state-space layers are known of such a file")
    dim, expand = keys.count("d_model"), part.count("expand", default=2)
    keys.assume({
        "hidden_size": dim, "num_hidden_layers": keys.count("n_layer"), "expand": expand,
        "conv_kernel": part.count("d_conv", default=4), "use_conv_bias": True,
        "state_size": part.count("d_state", default=128 if second else 16),
        "head_dim": part.count("headdim", default=64), "n_groups": part.count("ngroups", default=1),
        "num_heads": expand * dim // part.count("headdim", default=64),
        "tie_word_embeddings": keys.flag("tie_embeddings", default=True),
    }, derived=True)  # fmt: skip
    if strange := part.unread():
        raise part.refuse(strange[0], "is not understood of such a file")
    keys.skip("attn_cfg")
    multiple = keys.count("pad_vocab_size_multiple", default=8)
    model = alone(keys, make=MAMBA2 if second else MAMBA, tied=True)
    vocab = multiple * math.ceil(model.vocab / multiple)
    head = vocab * dim if model.head else 0
    return replace(model, vocab=vocab, embedding=vocab * dim, head=head)


def bamba(keys: Keys) -> Model:
    """Mamba-2 with attention in the layers that a list names."""
    full = set(keys.numbers("attn_layer_indices") or ())
    order = ["full_attention" if index in full else "linear_attention"
             for index in range(keys.count("num_hidden_layers"))]  # fmt: skip
    makers: dict[str, Make] = {"linear_attention": mamba2, "full_attention": attention}
    feed = plain_feed(keys, bias=keys.flag("mlp_bias"))
    return whole(keys, mixers(keys, order, makers), [feed] * len(order))


def granite(keys: Keys) -> Model:
    """Mamba-2 or attention, and experts beside a feed-forward that every token meets."""
    order = kinds(keys, "linear_attention")
    makers: dict[str, Make] = {"linear_attention": mamba2, "full_attention": attention}
    shared = keys.count("shared_intermediate_size")
    if keys.count("num_local_experts", minimum=0):
        feed = expert_feed(keys, width=("intermediate_size",), shared=shared)
    else:
        keys.skip("num_experts_per_tok")
        feed = plain_feed(keys, "shared_intermediate_size")
    return whole(keys, mixers(keys, order, makers), [feed] * len(order))


def falcon_h1(keys: Keys) -> Model:
    """Mamba-2 and attention side by side in every layer."""
    normed = keys.flag("mamba_rms_norm")
    state_space = mamba2(keys, normed=normed, out="projectors_bias")
    keys.skip("mamba_norm_before_gate", "ssm_multipliers", "ssm_in_multiplier",
              "ssm_out_multiplier")  # fmt: skip
    feed, full = plain_feed(keys, bias=keys.flag("mlp_bias")), attention(keys)
    dim, count = keys.count("hidden_size"), keys.count("num_hidden_layers")
    model = whole(keys, [None], [None], norms=0)
    pair = Layer(mixer=state_space), Layer(mixer=full, feed=feed, parameters=2 * dim)
    note = "each layer stands as two: Mamba-2 and attention, which run side by side"
    more = "the norm of Mamba-2 is left out here, and measured with its variant"
    notes = (note,) if normed else (note, more)
    return model.having(layers=pair * count, notes=notes)


def jamba(keys: Keys) -> Model:
    """Attention in every eighth layer, and experts in every other one."""
    count = keys.count("num_hidden_layers")
    period, offset = keys.count("attn_layer_period"), keys.count("attn_layer_offset", minimum=0)
    order = ["full_attention" if index % period == offset else "linear_attention"
             for index in range(count)]  # fmt: skip
    period, offset = keys.count("expert_layer_period"), keys.count("expert_layer_offset", minimum=0)
    sparse = [index % period == offset and keys.count("num_experts") > 1 for index in range(count)]
    makers: dict[str, Make] = {
        "linear_attention": partial(mamba, norms=1),
        "full_attention": partial(attention, biased=False),
    }
    plain = plain_feed(keys)
    keys.skip("num_experts_per_tok")
    mixed = expert_feed(keys, width=("intermediate_size",), shared=0) if any(sparse) else plain
    half = [mixed if is_sparse else plain for is_sparse in sparse]
    return whole(keys, mixers(keys, order, makers), half)


FAMILIES: Mapping[str, Reader] = {
    "mamba": partial(alone, make=MAMBA, tied=True),
    "mamba_ssm": original,
    "falcon_mamba": partial(alone, make=partial(mamba, names=ALONE, norms=0), tied=True),
    "mamba2": partial(alone, make=MAMBA2, tied=False),
    "bamba": bamba,
    "granitemoehybrid": granite,
    "falcon_h1": falcon_h1,
    "jamba": jamba,
}
