"""The attention variants: the file `linear_transformer.py` is the variant `linear-transformer`.

To add one: copy `sdpa.py` to `<name>.py`, write the idea, the card and `attend`, add its dense
reference in `tests/references/<name>.py`, and run `pytest -k <name>`. No list has to be edited.
"""
