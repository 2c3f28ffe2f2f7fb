"""What to measure: ranges, units, variants and shapes as they are typed, made into cells."""
