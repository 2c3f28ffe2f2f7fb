from tests.references.sdpa import reference

__all__ = ["reference"]
