"""A sweep on another machine: what is sent there, what runs there, and what comes back."""
