"""effattn: profile attention variants on your hardware, and choose one for your budget."""

__version__ = "0.1.0"
