"""Encoders of text without the head of a masked language model, or with another one."""

from collections.abc import Callable, Mapping
from functools import partial

from msgspec.structs import replace

from effattn_cli.architecture import Mixer, Model
from effattn_cli.models.decoder import DIM, Style, shape_of
from effattn_cli.models.encoder import BERT, WITH_HEAD, encoder
from effattn_cli.models.families.masked import ROBERTA, relative
from effattn_cli.models.families.masked_others import modernbert, ultrabert
from effattn_cli.models.families.vision import CLIP, siglip
from effattn_cli.models.keys import Keys
from effattn_cli.models.layer_kinds import LAYERS
from effattn_cli.models.pieces import linear, norm, softmax
from effattn_cli.models.sight import sight

SEEN = "what it sees with counts as parameters; its layers are not in the list"


def bare(model: Model, *, other: int = 0) -> Model:
    """The model without a head; `other` counts what it has beside."""
    notes = tuple(note for note in model.notes if note != WITH_HEAD)
    return replace(model, head=0, tied=False, other=model.other + other, notes=notes)


def dpr(keys: Keys) -> Model:
    """BERT, of which [CLS] stands for the text."""
    if keys.count("projection_dim", default=0, minimum=0):
        raise keys.refuse("projection_dim", "only 0 is understood")
    return bare(encoder(keys, BERT()))


def splinter(keys: Keys) -> Model:
    """Its head scores starts and ends of spans."""
    dim = keys.count(*DIM)
    head = 4 * (linear(dim, dim, bias=True) + norm(dim, "layer")) + 2 * linear(dim, dim)
    return bare(encoder(keys, BERT()), other=head)


def visual_bert(keys: Keys) -> Model:
    """Pictures' features come beside the words."""
    if keys.flag("bypass_transformer"):
        raise keys.refuse("bypass_transformer", "a layer aside is not understood")
    dim = keys.count(*DIM)
    rows = keys.count("type_vocab_size", default=2) + keys.count("max_position_embeddings")
    extra = linear(keys.count("visual_embedding_dim", default=512), dim, bias=True)
    extra += linear(dim, 2, bias=True)
    return encoder(keys, BERT(pooler=True), tables=rows * dim, extra=extra)


def markuplm(keys: Keys) -> Model:
    """The way to a word through the tags of a page is embedded, too."""
    dim = keys.count(*DIM)
    unit, depth = (
        keys.count("xpath_unit_hidden_size", default=32),
        keys.count("max_depth", default=50),
    )
    tags = keys.count("max_xpath_tag_unit_embeddings", default=256)
    places = keys.count("max_xpath_subs_unit_embeddings", default=1024)
    extra = linear(unit * depth, dim, bias=True) + linear(unit * depth, 4 * dim, bias=True)
    extra += linear(4 * dim, dim, bias=True)
    tables = depth * unit * (tags + places)
    return bare(encoder(keys, BERT(pooler=True), tables=tables, extra=extra))


def layoutlmv3(keys: Keys) -> Model:
    """Words and patches; biases of distances along the text and the page, one for all layers."""
    dim, heads = keys.count(*DIM), shape_of(keys).heads
    places = keys.count("max_2d_position_embeddings", default=1024)
    widths = keys.count("coordinate_size", default=128), keys.count("shape_size", default=128)
    tables = 2 * places * sum(widths)
    if not keys.flag("text_embed", default=True) or not keys.flag("visual_embed", default=True):
        raise keys.refuse("visual_embed", "only both text and pictures are understood")
    side = keys.count("input_size", default=224) // keys.count("patch_size", default=16)
    tables += (2 + side * side) * dim
    extra = linear(keys.count("num_channels", default=3) * keys.count("patch_size") ** 2, dim,
                   bias=True)  # fmt: skip
    extra += 2 * norm(dim, "layer")
    if keys.flag("has_relative_attention_bias", default=True):
        extra += keys.count("rel_pos_bins", default=32) * heads
    if keys.flag("has_spatial_attention_bias", default=True):
        extra += 2 * keys.count("rel_2d_pos_bins", default=64) * heads
    return relative(bare(encoder(keys, ROBERTA(), tables=tables, extra=extra)))


def _text(keys: Keys, style: Style, *, causal: bool) -> list[Mixer]:
    shape = shape_of(keys)
    mixer = softmax(
        shape.dim, shape.heads, shape.heads, shape.head_dim, qkv_bias=style.qkv_bias,
        out_bias=style.out_bias, causal=causal, caches=False,
    )  # fmt: skip
    return [mixer] * keys.count(*LAYERS)


def clip_text(keys: Keys, *, causal: bool = True, projected: bool = False) -> Model:
    """CLIP's sees only what came before, though it is an encoder; SigLIP's sees all, and projects
    what stands for the text.
    """
    style = BERT(
        types=None, embedding_norm=False, final_norm=True,
        activation="quick_gelu" if causal else "gelu_pytorch_tanh",
    )  # fmt: skip
    model = bare(encoder(keys, style, partial(_text, causal=causal)))
    if not projected:
        keys.skip("projection_dim")
        return model
    return replace(
        model,
        other=model.other + linear(model.dim, keys.count("projection_size", default=model.dim),
                                   bias=True),
    )  # fmt: skip


def git(keys: Keys) -> Model:
    """Pictures come before the words, through an encoder like CLIP's; then all is causal."""
    dim, part = keys.count(*DIM), keys.part("vision_config", "git_vision_model")
    seen = sight(part, CLIP)
    extra = seen.parameters + linear(seen.dim, dim, bias=True) + norm(dim, "layer")
    extra += keys.count("num_image_with_embedding", default=0, minimum=0) * seen.dim
    style = BERT(types=None, transform=False, tied=False, twin_bias=False)

    def causal(keys: Keys, style: Style) -> list[Mixer]:
        shape = shape_of(keys)
        mixer = softmax(
            dim, shape.heads, shape.heads, shape.head_dim, qkv_bias=style.qkv_bias, out_bias=True
        )
        return [mixer] * keys.count(*LAYERS)

    return replace(encoder(keys, style, causal, extra=extra), notes=(SEEN,))


def seeing(keys: Keys, inner: Callable[[Keys], Model], kind: str, *, normed: bool) -> Model:
    """An encoder of text that is given pictures, too, whose patches are joined in squares."""
    text = keys.part("text_config", kind)
    text.skip("model_type")
    part = keys.part("vision_config", "siglip_vision_model")
    part.skip("model_type")
    model, seen = inner(text), siglip(part)
    factor = keys.count("pixel_shuffle_factor", default=4)
    extra = seen.parameters + linear(seen.dim * factor**2, model.dim) + normed * model.dim
    keys.skip("classifier_pooling", "classifier_bias")
    head = model.head + (model.vocab * model.dim if model.tied else 0)
    return replace(model, head=head, tied=False, other=model.other + extra, notes=(SEEN,))


FAMILIES: Mapping[str, Callable[[Keys], Model]] = {
    "dpr": dpr,
    "git": git,
    "modernvbert": partial(seeing, inner=modernbert, kind="modernbert", normed=False),
    "ultravbert": partial(seeing, inner=ultrabert, kind="ultrabert", normed=True),
    "splinter": splinter,
    "visual_bert": visual_bert,
    "markuplm": markuplm,
    "layoutlmv3": layoutlmv3,
    "clip_text_model": clip_text,
    "siglip_text_model": partial(clip_text, causal=False, projected=True),
}
