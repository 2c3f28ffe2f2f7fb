"""What `effattn model` shows."""
