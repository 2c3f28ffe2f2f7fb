"""The quality of a variant: how closely it approximates exact attention without training, and what
a tiny model learns with it.
"""
