"""The definition of each variant, dense and obvious, in float64: `tests/references/<name>.py`.

Each file has a function `reference(layer, q_BHTK, k_BHTK, v_BHTK, valid_BT)` that gives what
`layer.attend` must give, written from the paper and by other code than the variant's: full score
matrices, loops over heads or tokens. It reads the layer's parameters and its config, nothing else.
"""
