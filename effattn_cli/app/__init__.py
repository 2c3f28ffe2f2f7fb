"""Use cases: they return records and print nothing."""
