"""How the config of each family of models is read, by its `model_type`."""

from collections.abc import Mapping

from effattn_cli.models import nested
from effattn_cli.models.families import (
    block_indexed,
    bodies,
    compressed,
    convolutions,
    delta,
    dense,
    foreign,
    gated,
    gemma,
    gemma4,
    kimi,
    latent,
    latent_others,
    listening,
    masked,
    masked_others,
    mixtures,
    nemotron,
    older,
    pairs,
    reformer,
    refused,
    refused_encoders,
    speech,
    state_space,
    step,
    t5,
    t5gemma,
    vision,
    vision_others,
)
from effattn_cli.models.families.reader import Reader
from effattn_cli.models.rope import turning

MODULES = (
    block_indexed, bodies, compressed, convolutions, delta, dense, foreign, gated, gemma, gemma4,
    kimi, latent, latent_others, listening, masked, masked_others, mixtures, nemotron, older, pairs,
    reformer, speech, state_space, step, t5, t5gemma, vision, vision_others,
)  # fmt: skip
SINGLE: Mapping[str, Reader] = {
    name: turning(reader) for module in MODULES for name, reader in module.FAMILIES.items()
}
FAMILIES: Mapping[str, Reader] = {**SINGLE, **nested.families(SINGLE)}
#: Families that cannot be read, by `model_type`, each with the reason.
REFUSED: Mapping[str, str] = {**refused.REFUSED, **refused_encoders.REFUSED}
