"""What differs between a CPU and an accelerator: clocks, energy counters, drivers."""
