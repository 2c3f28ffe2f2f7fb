"""effattn: profile attention variants on your hardware, and choose one for your budget."""
