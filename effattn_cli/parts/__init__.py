"""Maths that several variants share. Tensors end in their shape; the letters are `attention`'s."""
