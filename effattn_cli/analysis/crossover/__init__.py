"""The length from which a variant beats the baseline, and where to measure next to find it."""
