"""What stands at the ends of a model, around its layers: measured like a variant, and none.

The catalogue finds them by name, and lists none of them.
"""
