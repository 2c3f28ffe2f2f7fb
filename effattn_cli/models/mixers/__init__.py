"""Mixers of the catalogue by name, with their weights and what they keep, without building them."""

from effattn_cli.models.mixers.by_name import (
    FORMULAS,
    OF_PROJECTIONS,
    defaults,
    named,
    of_projections,
)

__all__ = ["FORMULAS", "OF_PROJECTIONS", "defaults", "named", "of_projections"]
