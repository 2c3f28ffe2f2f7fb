from tests.references.gshard import reference

__all__ = ["reference"]
