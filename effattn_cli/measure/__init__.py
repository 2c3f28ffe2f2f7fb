"""Measures one cell, in a process that does nothing else. Everything here needs torch."""
