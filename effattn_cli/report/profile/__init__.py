"""Views of one profile: tables, findings, progress."""
