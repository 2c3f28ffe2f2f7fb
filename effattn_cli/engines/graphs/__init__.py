"""Programs as graphs of tensors, for engines that take nothing else."""
