"""Views of a comparison between profiles."""
