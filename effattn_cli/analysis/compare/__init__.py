"""What changed between two profiles, and how certain that is."""
