"""What each variant costs, written from its definition: the forms that the counter must meet.

A file for each variant, found by its name.
"""
