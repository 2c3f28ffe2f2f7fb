"""How the config of each family of models is read, by its `model_type`."""

from collections.abc import Mapping

from effattn_cli.models.families import dense, mixtures
from effattn_cli.models.families.reader import Reader

FAMILIES: Mapping[str, Reader] = {
    name: reader for module in (dense, mixtures) for name, reader in module.FAMILIES.items()
}
