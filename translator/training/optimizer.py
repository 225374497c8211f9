"""Optimisers and the learning-rate schedule."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from translator.config import TrainingConfig


class Optimizer:
    """AdamW for every weight, or Muon for the matrices inside and AdamW for embeddings, biases and norms."""

    def __init__(self, model: nn.Module, config: TrainingConfig) -> None:
        self.learning_rate = config.learning_rate
        matrices: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, parameter in model.named_parameters():
            inner = config.optimizer == "muon" and parameter.ndim == 2 and not name.startswith(_OUTER)
            (matrices if inner else others).append(parameter)
        decayed = [p for p in others if p.ndim > 1]
        plain = [p for p in others if p.ndim <= 1]  # biases and norms are not decayed
        self.parts: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(
                [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}],
                lr=config.learning_rate,
                betas=(0.9, 0.98),
                eps=1e-9,
                fused=True,
            )
        ]
        if matrices:  # Jordan et al. 2024; the adjustment lets one learning rate serve both (Liu et al. 2025)
            self.parts.append(
                torch.optim.Muon(
                    matrices,
                    lr=config.learning_rate,
                    weight_decay=config.weight_decay,
                    adjust_lr_fn="match_rms_adamw",
                )
            )

    def step(self, factor: float) -> None:
        """Take one step at `factor` of the configured learning rate and clear the gradients."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = self.learning_rate * factor
            part.step()
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, Any]]:
        """Return what a resumed run needs."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Continue from `states`."""
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


_OUTER = ("source_embedding", "target_embedding", "output")


def schedule(progress: float, warmup: float) -> float:
    """Return the learning-rate factor at `progress` in [0, 1]: linear warm-up over `warmup`, then linear decay to 0."""
    if progress < warmup:
        return max(progress / warmup, 1e-3)
    return max((1 - progress) / (1 - warmup), 0.0)


class Average:
    """Exponential moving average of the weights (Polyak averaging); what is validated and shipped."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = [p.detach().clone() for p in model.parameters()]

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards the model after `step` steps; the first steps weigh more, or the random start would linger."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.weights, [p.detach() for p in model.parameters()], 1 - decay)

    @torch.no_grad()
    def swap(self, model: nn.Module) -> None:
        """Exchange the averaged weights with the model's; twice is the identity."""
        for mine, parameter in zip(self.weights, model.parameters(), strict=True):
            held = parameter.detach().clone()
            parameter.copy_(mine)
            mine.copy_(held)
