"""Whole models: from a configuration to layers, budgets and layouts."""

from effattn_cli.models.families import FAMILIES
from effattn_cli.models.reading import read, understood

__all__ = ["FAMILIES", "read", "understood"]
