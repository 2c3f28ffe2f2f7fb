"""How the config of each family of models is read, by its `model_type`."""

from collections.abc import Callable, Mapping

from effattn_cli.architecture import Model
from effattn_cli.models.families import (
    dense,
    listening,
    masked,
    masked_others,
    pairs,
    reformer,
    speech,
    t5,
    vision,
)
from effattn_cli.models.keys import Keys

Reader = Callable[[Keys], Model]

FAMILIES: Mapping[str, Reader] = {
    name: reader
    for module in (dense, listening, masked, masked_others, pairs, reformer, speech, t5, vision)
    for name, reader in module.FAMILIES.items()
}
