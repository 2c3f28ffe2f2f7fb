"""Maths shared by several variants. Tensor names end in their shape, in `attention`'s letters."""
