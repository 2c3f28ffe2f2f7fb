"""Views of a choice within a budget."""
