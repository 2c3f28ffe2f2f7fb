"""Views of variants, machines and lists of profiles."""
