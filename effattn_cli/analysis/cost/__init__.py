"""What a counted program is expected to take: rooflines, predictions, growth."""
