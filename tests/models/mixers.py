"""A mixer that a config describes, as a cell would measure it."""

import torch

from effattn_cli import catalog
from effattn_cli.architecture import Mixer, Model
from effattn_cli.measure.modules import config
from effattn_cli.records import Cell
from effattn_cli.setting import Setting


def measurable(model: Model, mixer: Mixer) -> int:
    """Parameters of the variant that stands for it.

    Raises:
        Unsupported: the variant does not take its widths or options.
    """
    setting = Setting(
        dim=model.dim, heads=mixer.heads, kv_heads=mixer.kv_heads, head_dim=mixer.head_dim,
        causal=mixer.causal, scope="block",
    )  # fmt: skip
    variant = catalog.load(mixer.variant)
    cell = Cell(variant=mixer.variant, options=dict(mixer.options), seq=64, setting=setting)
    with torch.device("meta"):
        layer = variant(config(variant, cell))
    return sum(weight.numel() for weight in layer.parameters())
