"""Masked language models whose layers are those of BERT, and what each does otherwise."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from msgspec.structs import replace

from effattn_cli.architecture import Mixer, Model
from effattn_cli.models.decoder import DIM, Style, feeds, shape_of
from effattn_cli.models.encoder import BERT, EncoderStyle, as_saved, attention, encoder
from effattn_cli.models.keys import Keys
from effattn_cli.models.layer_kinds import LAYERS
from effattn_cli.models.pieces import linear, norm, softmax

ROBERTA = partial(BERT, padding=1)
ROTARY = partial(BERT, learned_positions=None)
LLAMA = partial(EncoderStyle, norm="rms", learned_positions=None, final_norm=True, head_bias=False)

STYLES: Mapping[str, EncoderStyle] = {
    "bert": BERT(),
    "roberta": ROBERTA(),
    "xlm-roberta": ROBERTA(),
    "camembert": ROBERTA(),
    "data2vec-text": ROBERTA(),
    "megatron-bert": BERT(embedding_norm=False, final_norm=True),
    "roberta-prelayernorm": ROBERTA(final_norm=True),
    "xlm-roberta-xl": ROBERTA(embedding_norm=False, final_norm=True, types=1),
    "electra": BERT(narrow=True, twin_bias=False),
    "distilbert": BERT(types=None, twin_bias=False),
    "bert-generation": BERT(types=None, transform=False),
    "tapas": BERT(types=None),
    "jina_embeddings_v3": ROTARY(types=1),
    "nomic_bert": ROTARY(gated=True, feed_bias=False, qkv_bias=False, out_bias=False),
}


def mpnet(keys: Keys) -> Model:
    """The bias of relative positions, in `other`, is one for all layers."""
    buckets = keys.count("relative_attention_num_buckets", default=32)
    bias = buckets * shape_of(keys).heads
    return relative(encoder(keys, ROBERTA(types=None), extra=bias))


def relative(model: Model) -> Model:
    """The model, with a word on biases that its variant of attention does not add."""
    note = "the biases of relative positions count as parameters; their addition is not measured"
    return replace(model, notes=(*model.notes, note))


def gte(keys: Keys) -> Model:
    """Of its gated feed-forward only the last matrix has a bias."""
    style, dim = ROTARY(types=1, gated=True, feed_bias=False, twin_bias=False), keys.count(*DIM)
    halves = feeds(keys, style)
    biased = replace(halves[0], parameters=halves[0].parameters + dim,
                     always=halves[0].always + dim)  # fmt: skip
    return encoder(keys, style, feeds=lambda *_: [biased] * len(halves))


def eurobert(keys: Keys) -> Model:
    """Its head has a bias where its feed-forwards have."""
    return encoder(keys, LLAMA(transform=False, head_bias=keys.flag("mlp_bias")))


def ernie(keys: Keys) -> Model:
    tasks = keys.count("task_type_vocab_size", default=3) if keys.flag("use_task_id") else 0
    return encoder(keys, BERT(), tables=tasks * keys.count(*DIM))


def rembert(keys: Keys) -> Model:
    """Its head is wider than its layers, and never tied to the embedding, which is narrower."""
    dim, vocab = keys.count(*DIM), keys.count("vocab_size")
    narrow = keys.count("input_embedding_size", default=256)
    wide = keys.count("output_embedding_size", default=1664)
    keys.skip("tie_word_embeddings")
    model = encoder(keys, BERT(embedding_norm=False))
    rows = model.embedding // dim
    return replace(
        model, embedding=rows * narrow, tied=False,
        other=norm(narrow, "layer") + linear(narrow, dim, bias=True),
        head=linear(dim, wide, bias=True) + norm(wide, "layer") + linear(wide, vocab, bias=True),
    )  # fmt: skip


def roc_bert(keys: Keys) -> Model:
    """Tables of pronunciations and shapes beside that of words, and what joins the three."""
    dim = keys.count(*DIM)
    tables, inputs = 0, dim
    for what, rows, width in (("pronunciation", 910, 768), ("shape", 24858, 512)):
        wide = keys.count(f"{what}_embed_dim", default=width)
        tables += keys.count(f"{what}_vocab_size", default=rows) * wide
        inputs += wide if keys.flag(f"enable_{what}", default=True) else 0
    if not keys.flag("concat_input", default=True):
        raise keys.refuse("concat_input", "only joined inputs are understood")
    return encoder(keys, BERT(), tables=tables, extra=linear(inputs, dim, bias=True))


def layoutlm(keys: Keys) -> Model:
    rows = 4 * keys.count("max_2d_position_embeddings", default=1024)
    return encoder(keys, BERT(pooler=True), tables=rows * keys.count(*DIM))


def tapas(keys: Keys) -> Model:
    usual = [3, 256, 256, 2, 256, 256, 10]
    rows = sum(keys.numbers("type_vocab_sizes", "type_vocab_size") or usual)
    keys.skip("reset_position_index_per_cell")
    return encoder(keys, STYLES["tapas"], tables=rows * keys.count(*DIM))


def ibert(keys: Keys) -> Model:
    if keys.flag("quant_mode"):
        raise keys.refuse("quant_mode", "integer arithmetic is not in the catalogue")
    return encoder(keys, ROBERTA())


def roformer(keys: Keys) -> Model:
    """Sines and cosines of its rotation are a table among its weights."""
    shape = shape_of(keys)
    table = keys.count("max_position_embeddings", default=1536) * shape.head_dim
    model = encoder(keys, ROTARY(narrow=True), tables=table)
    return replace(model, other=model.other)


def xmod(keys: Keys) -> Model:
    """An adapter for each language in each layer, of which a token meets one."""
    dim = keys.count(*DIM)
    languages = keys.items("languages") or ["en_XX"]
    narrow = int(dim // keys.count("adapter_reduction_factor", default=2))
    adapters = (linear(dim, narrow, bias=True) + linear(narrow, dim, bias=True)) * len(languages)
    adapters += norm(dim, "layer") if keys.flag("adapter_layer_norm") else 0
    final = keys.flag("pre_norm")
    model = encoder(keys, ROBERTA(final_norm=final))
    layers = tuple(replace(layer, parameters=layer.parameters + adapters) for layer in model.layers)
    return model.having(layers=layers)


def albert(keys: Keys) -> Model:
    """Its layers use the weights of a few: of one, as usual."""
    model = encoder(keys, BERT(narrow=True, activation="gelu_new"))
    wide = keys.count("embedding_size", default=128)
    count, groups = len(model.layers), keys.count("num_hidden_groups", default=1)
    group = [int(at / (count / groups)) for at in range(count)]
    layers = tuple(
        replace(layer, repeated=group[at] in group[:at])
        for at, layer in enumerate(model.layers)
        for _ in range(keys.count("inner_group_num", default=1))
    )
    extra = linear(wide, model.dim, bias=True) if wide == model.dim else 0
    return model.having(layers=layers, other=model.other + extra)


def squeezebert(keys: Keys) -> Model:
    """Its linear layers are cut into groups."""
    dim, count = keys.count(*DIM), keys.count(*LAYERS)
    groups = {
        name: keys.count(f"{name}_groups", default=usual)
        for name, usual in
        (("q", 4), ("k", 4), ("v", 4), ("post_attention", 1), ("intermediate", 4), ("output", 4))
    }  # fmt: skip
    style = BERT(pooler=True)
    saved = sum(dim * dim - dim * dim // groups[name] for name in ("q", "k", "v", "post_attention"))
    feed = feeds(keys, style)[0]
    fewer = sum(dim * feed.width * (groups[name] - 1) // groups[name]
                for name in ("intermediate", "output"))  # fmt: skip
    left = feed.parameters - fewer
    whole = replace(feed, parameters=left, always=left)
    if keys.count("embedding_size", default=dim) != dim:
        raise keys.refuse("embedding_size", "it has to be that of the layers")
    return encoder(
        keys, style, partial(attention, extra=-saved), lambda *_: [whole] * count
    )  # fmt: skip


def longformer(keys: Keys) -> Model:
    """Global tokens have projections of their own."""
    return encoder(keys, ROBERTA(), _longformer)


def _longformer(keys: Keys, _: Style) -> list[Mixer]:
    shape, count = shape_of(keys), keys.count(*LAYERS)
    given: Any = keys.get("attention_window", default=512)
    windows = given if isinstance(given, list) else [given] * count
    if len(windows) != count or not all(isinstance(w, int) and w > 0 and not w % 2
                                        for w in windows):  # fmt: skip
        raise keys.refuse("attention_window", f"expected {count} even numbers, or one")
    return [
        softmax(
            shape.dim, shape.heads, shape.kv_heads, shape.head_dim, kind="sliding_attention",
            variant="longformer", options={"window": window}, qkv_bias=True, out_bias=True,
            extra=3 * linear(shape.dim, shape.dim, bias=True), causal=False,
        )
        for window in windows
    ]  # fmt: skip


def luke(keys: Keys) -> Model:
    """Words and entities; three more projections of queries where attention tells them apart."""
    dim = keys.count(*DIM)
    narrow = keys.count("entity_emb_size", default=dim)
    positions, types = keys.count("max_position_embeddings"), keys.count("type_vocab_size")
    tables = keys.count("entity_vocab_size") * narrow + (positions + types) * dim
    extra = linear(narrow, dim) if narrow != dim else 0
    extra += norm(dim, "layer") + linear(dim, narrow, bias=True) + norm(narrow, "layer")
    extra += keys.count("entity_vocab_size")
    queries = 3 if keys.flag("use_entity_aware_attention", default=True) else 0
    queries *= linear(dim, dim, bias=True)
    keys.skip("tie_word_embeddings")  # only the head of entities is tied
    model = encoder(
        keys, ROBERTA(pooler=True, tied=False), partial(attention, extra=queries),
        tables=tables, extra=extra,
    )  # fmt: skip
    head = model.head if not model.tied else model.head + model.vocab * dim
    return replace(model, head=head, tied=False)


READERS: Mapping[str, Callable[[Keys], Model]] = {
    "albert": albert,
    "ernie": ernie,
    "eurobert": eurobert,
    "gte": gte,
    "ibert": ibert,
    "layoutlm": layoutlm,
    "longformer": longformer,
    "luke": luke,
    "mpnet": mpnet,
    "rembert": rembert,
    "roc_bert": roc_bert,
    "roformer": roformer,
    "squeezebert": squeezebert,
    "tapas": tapas,
    "xmod": xmod,
}
WITH_HEADS: Mapping[str, Callable[[Keys], Model]] = {
    **{name: partial(encoder, style=style) for name, style in STYLES.items()},
    **READERS,
}
FAMILIES: Mapping[str, Callable[[Keys], Model]] = {
    name: partial(as_saved, family=name, reader=reader) for name, reader in WITH_HEADS.items()
}
