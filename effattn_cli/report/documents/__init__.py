"""What commands print under `--json`: a record for each kind of document, its version, its schema.

`kinds` lists them. A document is its version under the key `effattn_KIND`, then the fields of its
record, all of them: null stands for what is not known or was not asked for.
"""
