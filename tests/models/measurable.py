"""Whether the mixers of a model can be measured."""

import torch

from effattn_cli import catalog
from effattn_cli.architecture import Mixer, Model
from effattn_cli.attention import Layer
from effattn_cli.measure.modules import config
from effattn_cli.records import Cell
from effattn_cli.setting import Setting


def layers(model: Model) -> list[Layer]:
    """The variant's own module of each mixer that differs, on no device.

    Raises:
        Unsupported: options and widths do not go together.
    """
    mixers = dict.fromkeys(layer.mixer for layer in model.layers if layer.mixer is not None)
    return [_layer(mixer, model.dim) for mixer in mixers]


def _layer(mixer: Mixer, dim: int) -> Layer:
    setting = Setting(
        dim=dim, heads=mixer.heads, kv_heads=mixer.kv_heads, head_dim=mixer.head_dim,
        causal=mixer.causal, scope="layer",
    )  # fmt: skip
    cell = Cell(variant=mixer.variant, seq=64, setting=setting, options=dict(mixer.options))
    variant = catalog.load(mixer.variant)
    with torch.device("meta"):
        return variant(config(variant, cell))
