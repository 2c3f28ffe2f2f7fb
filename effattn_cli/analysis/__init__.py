"""Pure functions on records: no torch, no screen, no files."""
