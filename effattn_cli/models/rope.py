"""Rotary positions: which share of each head a family turns, and its mixers with that option."""

from collections.abc import Callable
from functools import wraps

from msgspec.structs import replace

from effattn_cli.architecture import Layer, Mixer, Model
from effattn_cli.models.keys import Keys
from effattn_cli.models.mixers import defaults

OPTION = "rotary"  # of the variants that can turn q and k
SHARE = ("partial_rotary_factor", "rotary_pct", "rotary_emb_fraction")
#: Families whose layers of full attention have no positions.
ONLY_NEAR = frozenset({"llama4", "llama4_text", "cohere2"})

Reader = Callable[[Keys], Model]


def turning(reader: Reader) -> Reader:
    """The same reader, whose models have rotary positions where their configs do."""

    @wraps(reader)
    def read(keys: Keys) -> Model:
        model = reader(keys)
        turned = share(keys, model)
        if not turned:
            return model
        family = keys.get("model_type", default="")
        layers = [_layer(layer, turned, near=family in ONLY_NEAR) for layer in model.layers]
        return model.having(layers=tuple(layers))

    return read


def share(keys: Keys, model: Model) -> float:
    """Of a head: 1 where all of it turns, 0 where there are no rotary positions."""
    parameters = keys.get("rope_parameters", "rope_scaling")
    said = any(keys.get(key) is not None for key in ("rope_theta", "rotary_dim", *SHARE))
    if keys.get("alibi") is True or (parameters is None and not said):
        return 0.0
    inner = parameters.get("partial_rotary_factor") if isinstance(parameters, dict) else None
    part = keys.get(*SHARE, default=inner)
    width = keys.get("rotary_dim")
    heads = [layer.mixer.head_dim for layer in model.layers if layer.mixer is not None]
    if part is None and isinstance(width, int) and heads:
        part = width / heads[0]
    return float(part) if isinstance(part, int | float) and 0 < part <= 1 else 1.0


def _layer(layer: Layer, turned: float, *, near: bool) -> Layer:
    mixer = layer.mixer
    if mixer is None or OPTION not in defaults(mixer.variant) or OPTION in mixer.options:
        return layer
    if mixer.options.get("over") == "mla":  # it turns a part of its own
        return layer
    if near and mixer.kind == "full_attention":
        return layer
    return replace(layer, mixer=_mixer(mixer, turned))


def _mixer(mixer: Mixer, turned: float) -> Mixer:
    return replace(mixer, options={**mixer.options, OPTION: 1 if turned == 1 else turned})
