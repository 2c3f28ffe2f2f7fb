"""How the config of each family of models is read, by its `model_type`."""

from collections.abc import Mapping

from effattn_cli.models.families import dense, foreign, gated, gemma, gemma4, mixtures, older, step
from effattn_cli.models.families.reader import Reader

FAMILIES: Mapping[str, Reader] = {
    name: reader
    for module in (dense, foreign, gated, gemma, gemma4, mixtures, older, step)
    for name, reader in module.FAMILIES.items()
}
