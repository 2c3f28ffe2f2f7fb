"""How the config of each family of models is read, by its `model_type`."""

from collections.abc import Mapping

from effattn_cli.models.families import (
    block_indexed,
    compressed,
    convolutions,
    delta,
    dense,
    foreign,
    gated,
    gemma,
    kimi,
    latent,
    latent_others,
    mixtures,
    nemotron,
    older,
    state_space,
    step,
)
from effattn_cli.models.families.reader import Reader

MODULES = (
    block_indexed, compressed, convolutions, delta, dense, foreign, gated, gemma, kimi, latent,
    latent_others, mixtures, nemotron, older, state_space, step,
)  # fmt: skip
FAMILIES: Mapping[str, Reader] = {
    name: reader for module in MODULES for name, reader in module.FAMILIES.items()
}
