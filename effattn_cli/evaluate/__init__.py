"""What a variant is worth: how near it comes to exact attention without training, and what a tiny
model learns with it.
"""
