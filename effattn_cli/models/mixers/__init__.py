"""Mixers of the catalogue by name, with their weights and what they keep, without building them."""

from effattn_cli.models.mixers.by_name import FORMULAS, named

__all__ = ["FORMULAS", "named"]
