"""What makes a distributed loss the loss of the whole batch."""

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


def sum_over_processes(values: Tensor) -> Tensor:
    """Sum over the processes of a distributed run, with gradients (itself where there is one process).

    For a loss that is not a sum over pixels but, say, a function of a mean: every process computes it from the sums of
    all, and DistributedDataParallel's average of the gradients is then that of one process with the whole batch.
    """
    if not dist.is_distributed():
        return values
    from torch.distributed.nn.functional import all_reduce

    return all_reduce(values)
