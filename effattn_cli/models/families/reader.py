"""What reads the config of a family."""

from collections.abc import Callable

from effattn_cli.architecture import Model
from effattn_cli.models.keys import Keys

Reader = Callable[[Keys], Model]
