"""Which variant to deploy within a budget."""
