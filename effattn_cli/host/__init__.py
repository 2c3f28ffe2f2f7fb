"""Facts about the machine and this process, found without torch."""
