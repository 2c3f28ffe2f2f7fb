"""What a variant's answers are worth: how near they come to exact attention, without training."""
