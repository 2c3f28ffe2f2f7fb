"""Stands in for the top-level variants/ folder in a checkout; the wheel holds the folder itself."""

from pathlib import Path

__path__ = [str(Path(__file__).parents[1] / "variants")]
