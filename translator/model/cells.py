"""Recurrent layers: the fused kernels, and the reference step of each cell written from its equations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, cast

import torch
from torch import Tensor, nn

PARAMETERS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")  # torch's names, in the order of the steps
Cell = Literal["lstm", "gru", "rnn"]
State = tuple[Tensor, ...]  # (h,) for rnn and gru, (h, c) for lstm; each [batch, hidden]

_FUSED: dict[Cell, Callable[..., nn.RNNBase]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class RecurrentLayer(nn.Module):
    """One layer in one direction, run over all time steps in one fused call."""

    def __init__(self, cell: Cell, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.cell = cell
        self.rnn = _FUSED[cell](input_size, hidden_size, batch_first=True)
        for name, parameter in self.rnn.named_parameters():
            if name.startswith("weight_hh"):
                for gate in parameter.data.chunk(parameter.shape[0] // hidden_size):
                    nn.init.orthogonal_(gate)  # keeps the gradient's norm through time at first (Saxe et al. 2014)
            elif name.startswith("weight_ih"):
                nn.init.xavier_uniform_(parameter)
            else:
                nn.init.zeros_(parameter)
        if cell == "lstm":  # remember by default (Jozefowicz et al. 2015); gates are in torch's order i, f, g, o
            cast(Tensor, self.rnn.bias_ih_l0).data[hidden_size : 2 * hidden_size] = 1.0

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map `inputs` [batch, time, input] to outputs [batch, time, hidden] and the state after the last step."""
        initial: Tensor | State | None = None
        if state is not None:
            initial = tuple(s.unsqueeze(0).to(inputs.dtype).contiguous() for s in state)
            initial = initial if self.cell == "lstm" else initial[0]
        outputs, final = self.rnn(inputs, initial)
        return outputs, tuple(s.squeeze(0) for s in (final if self.cell == "lstm" else (final,)))


class BidirectionalLayer(nn.Module):
    """A layer that reads the sentence both ways: two unidirectional calls, the second over each sentence reversed.

    Each sentence is reversed within its own length, so padding never comes before a word in either direction and
    nothing has to be packed (Schuster & Paliwal 1997).
    """

    def __init__(self, cell: Cell, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.forwards = RecurrentLayer(cell, input_size, hidden_size // 2)
        self.backwards = RecurrentLayer(cell, input_size, hidden_size // 2)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Map `inputs` [batch, time, input] with `lengths` [batch] to [batch, time, hidden]."""
        index = reversal(lengths, inputs.shape[1])
        ahead, _ = self.forwards(inputs)
        back, _ = self.backwards(_gather(inputs, index))
        return torch.cat([ahead, _gather(back, index)], dim=-1)


def reversal(lengths: Tensor, width: int) -> Tensor:
    """Return the index [batch, width] that reverses each sentence within its length and leaves padding in place."""
    position = torch.arange(width, device=lengths.device).unsqueeze(0)
    last = lengths.unsqueeze(1) - 1
    return torch.where(position <= last, last - position, position)


def _gather(x: Tensor, index: Tensor) -> Tensor:
    return x.gather(1, index.unsqueeze(-1).expand(-1, -1, x.shape[-1]))


def reference_step(layer: RecurrentLayer, x: Tensor, state: State) -> State:
    """One time step of `layer` from the equations of its cell: `x` [batch, input], state [batch, hidden] each.

    The readable twin of the fused kernels; tests hold the two equal.
    """
    step = {"lstm": lstm_step, "gru": gru_step, "rnn": simple_rnn_step}[layer.cell]
    return step(x, state, *(cast(Tensor, getattr(layer.rnn, name)) for name in PARAMETERS))


def simple_rnn_step(x: Tensor, state: State, w_x: Tensor, w_h: Tensor, b_x: Tensor, b_h: Tensor) -> State:
    """SimpleRNN (Elman 1990): h' = tanh(W_x x + b_x + W_h h + b_h)."""
    (h,) = state
    return (torch.tanh(x @ w_x.T + b_x + h @ w_h.T + b_h),)


def gru_step(x: Tensor, state: State, w_x: Tensor, w_h: Tensor, b_x: Tensor, b_h: Tensor) -> State:
    """GRU (Cho et al. 2014, reset gate after the product): h' = (1 - z) n + z h."""
    (h,) = state
    r_x, z_x, n_x = (x @ w_x.T + b_x).chunk(3, dim=-1)
    r_h, z_h, n_h = (h @ w_h.T + b_h).chunk(3, dim=-1)
    r = torch.sigmoid(r_x + r_h)  # how much of the past the candidate sees
    z = torch.sigmoid(z_x + z_h)  # how much of the past stays
    n = torch.tanh(n_x + r * n_h)
    return ((1 - z) * n + z * h,)


def lstm_step(x: Tensor, state: State, w_x: Tensor, w_h: Tensor, b_x: Tensor, b_h: Tensor) -> State:
    """LSTM (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000): c' = f c + i g, h' = o tanh(c')."""
    h, c = state
    i, f, g, o = (x @ w_x.T + b_x + h @ w_h.T + b_h).chunk(4, dim=-1)
    i, f, o = torch.sigmoid(i), torch.sigmoid(f), torch.sigmoid(o)  # what enters, what stays, what is shown
    c = f * c + i * torch.tanh(g)
    return o * torch.tanh(c), c
