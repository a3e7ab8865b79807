"""Normalisers that make a distributed loss the loss of the whole batch."""

import torch
from mmengine import dist
from torch import Tensor


@torch.no_grad()
def mean_over_processes(count: Tensor) -> Tensor:
    """Average a count over the processes of a distributed run (itself where there is one process).

    DistributedDataParallel averages gradients over processes. A sum of pixel losses divided by the *mean* count of
    valid pixels therefore has, after that average, exactly the gradient of one process that saw the whole batch;
    dividing by each process's own count would weigh a process with few labels as much as one with many.
    """
    count = count.detach().to(torch.get_default_dtype()).clone()
    if dist.is_distributed():
        dist.all_reduce(count, op='mean')
    return count
