"""The attention variants: the file `linear_transformer.py` is the variant `linear-transformer`.

To add one: copy `sdpa.py` to `<name>.py`, write its docstring, card and `attend`, add its dense
reference in `tests/references/<name>.py`, and run `pytest -k <name>`. There is no registry to edit.
"""
