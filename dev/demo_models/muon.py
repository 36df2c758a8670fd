"""Muon (Jordan et al. 2024) for convolutions: momentum whose matrix is made orthogonal.

Torch's own `torch.optim.Muon` takes matrices only.
"""

import torch
from torch import Tensor


def orthogonalised(matrix: Tensor, steps: int = 5) -> Tensor:
    """Newton-Schulz iteration (coefficients as published with Muon) towards U V^T."""
    x = matrix / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    for _ in range(steps):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """For weights of four dimensions, each seen as a matrix of output by everything else."""

    def __init__(self, params, lr: float = 0.02, momentum: float = 0.95,
                 weight_decay: float = 0.01) -> None:
        super().__init__(params, {'lr': lr, 'momentum': momentum, 'weight_decay': weight_decay})

    @torch.no_grad()
    def step(self) -> None:
        """Update every weight that has a gradient."""
        for group in self.param_groups:
            for p in group['params']:
                if p.grad is None:
                    continue
                state = self.state[p]
                if 'momentum' not in state:
                    state['momentum'] = torch.zeros_like(p)
                buffer = state['momentum']
                buffer.lerp_(p.grad, 1 - group['momentum'])
                update = p.grad.lerp(buffer, group['momentum'])
                matrix = orthogonalised(update.reshape(p.shape[0], -1).float())
                scale = max(1., matrix.shape[0] / matrix.shape[1]) ** 0.5
                p.mul_(1 - group['lr'] * group['weight_decay'])
                p.add_(matrix.reshape(p.shape).to(p.dtype), alpha=-group['lr'] * scale)
