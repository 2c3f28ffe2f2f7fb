"""How the config of each family of models is read, by its `model_type`."""

from collections.abc import Callable, Mapping

from effattn_cli.architecture import Model
from effattn_cli.models.families import compressed, convolutions, delta, dense, latent, state_space
from effattn_cli.models.keys import Keys

Reader = Callable[[Keys], Model]

FAMILIES: Mapping[str, Reader] = {
    name: reader for module in (dense, latent, delta, state_space, convolutions, compressed) for name, reader in module.FAMILIES.items()
}
