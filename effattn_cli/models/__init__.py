"""Whole models: from a configuration to layers, budgets and layouts."""
