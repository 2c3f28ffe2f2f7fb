"""effattn: profile attention variants on your hardware, and find the one that fits your budget."""

__version__ = "0.1.0"
