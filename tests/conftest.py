"""One thread for the tests' own small tensors: on a busy machine two wait for one another."""

import torch

torch.set_num_threads(1)
