"""Mixers of the catalogue by name, with their weights and what they keep, without building them."""

from effattn_cli.models.mixers.by_name import FORMULAS, defaults, named

__all__ = ["FORMULAS", "defaults", "named"]
