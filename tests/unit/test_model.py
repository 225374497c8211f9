"""The model: fused kernels against the equations, padding, steps, gradients, the loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from translator.model import Seq2Seq, count_parameters
from translator.model.cells import BidirectionalLayer, RecurrentLayer, reference_step, reversal
from translator.model.dropout import SentenceDropout
from translator.model.loss import cross_entropy

CELLS = ["rnn", "gru", "lstm"]
ATTENTION = ["none", "dot", "multihead", "additive"]
Build = Callable[..., Seq2Seq]

SOURCES = [[5, 6, 7, 3], [8, 3], [9, 10, 11, 12, 13, 14, 3], [15, 16, 17, 18, 3]]
TARGETS = [[2, 20, 21], [2, 22, 23, 24, 25], [2, 26], [2, 27, 28, 29]]


def pad(sentences: Sequence[Sequence[int]], extra: int = 0) -> tuple[Tensor, Tensor]:
    padded = torch.nn.utils.rnn.pad_sequence([torch.tensor(s) for s in sentences], batch_first=True)
    return F.pad(padded, (0, extra)), torch.tensor([len(s) for s in sentences])


def close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-5, atol=1e-5)


# --- cells ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
def test_the_fused_kernel_follows_the_equations(cell: str) -> None:
    torch.manual_seed(3)
    layer = RecurrentLayer(cell, 7, 12)
    for parameter in layer.parameters():  # biases too
        torch.nn.init.normal_(parameter, std=0.4)
    inputs = torch.randn(4, 6, 7)
    start = tuple(torch.randn(4, 12) for _ in range(2 if cell == "lstm" else 1))
    outputs, final = layer(inputs, start)
    state = start
    for step in range(6):
        state = reference_step(layer, inputs[:, step], state)
        assert close(outputs[:, step], state[0])
    assert len(final) == len(state)
    assert all(close(a, b) for a, b in zip(final, state, strict=True))


@pytest.mark.parametrize("cell", CELLS)
def test_a_layer_starts_from_zeros_without_a_state(cell: str) -> None:
    layer = RecurrentLayer(cell, 5, 8)
    inputs = torch.randn(2, 3, 5)
    zeros = tuple(torch.zeros(2, 8) for _ in range(2 if cell == "lstm" else 1))
    assert torch.equal(layer(inputs)[0], layer(inputs, zeros)[0])


@pytest.mark.parametrize("cell", CELLS)
def test_recurrent_weights_start_orthogonal(cell: str) -> None:
    for gate in RecurrentLayer(cell, 5, 8).rnn.weight_hh_l0.split(8):
        assert close(gate @ gate.T, torch.eye(8))


def test_reversal_turns_each_sentence_within_its_length() -> None:
    assert reversal(torch.tensor([3, 1, 5]), 5).tolist() == [[2, 1, 0, 3, 4], [0, 1, 2, 3, 4], [4, 3, 2, 1, 0]]


@pytest.mark.parametrize("cell", CELLS)
def test_a_bidirectional_layer_equals_packed_torch(cell: str) -> None:
    torch.manual_seed(4)
    ours = BidirectionalLayer(cell, 6, 8)
    theirs = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[cell](
        6, 4, batch_first=True, bidirectional=True
    )
    weights = dict(ours.forwards.rnn.named_parameters())
    weights |= {name + "_reverse": p for name, p in ours.backwards.rnn.named_parameters()}
    theirs.load_state_dict(weights)
    inputs, lengths = torch.randn(3, 7, 6), torch.tensor([4, 7, 1])
    packed = torch.nn.utils.rnn.pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
    expected, _ = torch.nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True)
    outputs = ours(inputs, lengths)
    for row, length in enumerate(lengths):
        assert close(outputs[row, :length], expected[row, :length])


# --- a sentence and its batch -----------------------------------------------------------------------------------------


def encoder_states(model: Seq2Seq, source: Tensor, lengths: Tensor) -> Tensor:
    return model.encoder(model.source_embedding(source) * model.scale, lengths)


@pytest.mark.parametrize("attention", ATTENTION)
@pytest.mark.parametrize("bidirectional", [True, False], ids=["both ways", "forward only"])
@pytest.mark.parametrize("cell", CELLS)
@torch.inference_mode()
def test_a_sentence_is_the_same_alone_and_among_longer_ones(
    tiny_model: Build, cell: str, bidirectional: bool, attention: str
) -> None:
    model = tiny_model(cell=cell, bidirectional=bidirectional, attention=attention)
    source, lengths = pad(SOURCES, extra=3)
    target, _ = pad(TARGETS, extra=2)
    together_states = encoder_states(model, source, lengths)
    read_out, weights, _ = model.decode(target, model.encode(source, lengths))
    together = model.logits(read_out)
    for row, (s, t) in enumerate(zip(SOURCES, TARGETS, strict=True)):
        alone, length = pad([s])
        assert close(together_states[row, : len(s)], encoder_states(model, alone, length)[0])
        read_out, alone_weights, _ = model.decode(torch.tensor([t]), model.encode(alone, length))
        assert close(together[row, : len(t)], model.logits(read_out)[0])
        if attention != "none":
            assert close(weights[row, : len(t), : len(s)], alone_weights[0])


@pytest.mark.parametrize("attention", ATTENTION)
@torch.inference_mode()
def test_the_order_of_a_batch_does_not_matter(tiny_model: Build, attention: str) -> None:
    model = tiny_model(attention=attention)
    source, lengths = pad(SOURCES)
    target, _ = pad(TARGETS)
    order = torch.tensor([2, 0, 3, 1])
    straight = model.decode(target, model.encode(source, lengths))[0]
    shuffled = model.decode(target[order], model.encode(source[order], lengths[order]))[0]
    assert close(straight[order], shuffled)
    selected = model.decode(target[order], model.encode(source, lengths).select(order))[0]
    assert close(straight[order], selected)


@pytest.mark.parametrize("cell", CELLS)
@torch.inference_mode()
def test_only_a_bidirectional_encoder_lets_the_first_word_see_the_last(tiny_model: Build, cell: str) -> None:
    for bidirectional in (True, False):
        model = tiny_model(cell=cell, bidirectional=bidirectional)
        a, lengths = pad([[5, 6, 7, 8, 3]])
        b, _ = pad([[5, 6, 7, 9, 3]])
        first = [encoder_states(model, source, lengths)[0, 0] for source in (a, b)]
        assert torch.equal(*first) is not bidirectional
        last = [encoder_states(model, source, lengths)[0, -1] for source in (a, b)]
        assert not torch.equal(*last)


# --- the decoder ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("attention", ATTENTION)
@pytest.mark.parametrize("cell", CELLS)
@torch.inference_mode()
def test_step_by_step_equals_all_at_once(tiny_model: Build, cell: str, attention: str, layers: int) -> None:
    model = tiny_model(cell=cell, attention=attention, decoder_layers=layers)
    source, lengths = pad(SOURCES)
    target = torch.randint(4, 40, (4, 6), generator=torch.Generator().manual_seed(1))
    whole, whole_weights, whole_state = model.decode(target, model.encode(source, lengths))
    state = model.encode(source, lengths)
    outputs, weights = [], []
    for size, tokens in ((1, target[:, :1]), (1, target[:, 1:2]), (3, target[:, 2:5]), (1, target[:, 5:])):
        output, weight, state = model.decode(tokens, state)
        assert output.shape[1] == size
        outputs.append(output)
        weights.append(weight)
    assert close(whole, torch.cat(outputs, 1))
    for before, after in zip(whole_state.layers, state.layers, strict=True):
        assert all(close(a, b) for a, b in zip(before, after, strict=True))
    if attention == "none":
        assert whole_weights is None
    else:
        assert close(whole_weights, torch.cat(weights, 1))


@torch.inference_mode()
def test_the_decoder_does_not_see_the_future(tiny_model: Build) -> None:
    model = tiny_model()
    source, lengths = pad(SOURCES[:1])
    outputs = [model.decode(torch.tensor([t]), model.encode(source, lengths))[0] for t in ([2, 20, 21], [2, 20, 30])]
    assert torch.equal(outputs[0][:, :2], outputs[1][:, :2])
    assert not torch.equal(outputs[0][:, 2], outputs[1][:, 2])


@pytest.mark.parametrize("attention", ATTENTION[1:])
@torch.inference_mode()
def test_attention_is_a_distribution_over_the_words_and_none_over_padding(tiny_model: Build, attention: str) -> None:
    source, lengths = pad(SOURCES, extra=2)
    target, _ = pad(TARGETS)
    model = tiny_model(attention=attention)
    weights = model.decode(target, model.encode(source, lengths))[1]
    assert weights.shape == (len(SOURCES), target.shape[1], source.shape[1])
    assert close(weights.sum(-1), torch.ones(target.shape))
    assert (weights >= 0).all()
    for row, length in enumerate(lengths):
        assert (weights[row, :, length:] == 0).all()
        assert (weights[row, :, :length] > 0).all()


# --- weights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tie", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("attention", ATTENTION)
@pytest.mark.parametrize("bidirectional", [True, False], ids=["both ways", "forward only"])
@pytest.mark.parametrize("cell", CELLS)
def test_gradients_reach_every_parameter(
    tiny_model: Build, cell: str, bidirectional: bool, attention: str, tie: bool
) -> None:
    model = tiny_model(cell=cell, bidirectional=bidirectional, attention=attention, tie_embeddings=tie).train()
    source, lengths = pad(SOURCES)
    target, _ = pad(TARGETS)
    model(source, lengths, target, target.roll(-1, 1), 0.1).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_tied_embeddings_are_one_matrix_and_untied_three(tiny_model: Build) -> None:
    tied, untied = tiny_model(tie_embeddings=True), tiny_model(tie_embeddings=False)

    def places(model: Seq2Seq) -> int:
        matrices = (model.source_embedding.weight, model.target_embedding.weight, model.output.weight)
        return len({matrix.data_ptr() for matrix in matrices})

    assert places(tied) == 1
    assert places(untied) == 3
    assert count_parameters(untied) - count_parameters(tied) == 2 * 40 * 16


# --- dropout ----------------------------------------------------------------------------------------------------------


def test_dropout_is_the_identity_outside_training() -> None:
    x = torch.randn(2, 3, 4)
    assert torch.equal(SentenceDropout(0.5).eval()(x), x)
    assert torch.equal(SentenceDropout(0.0).train()(x), x)


def test_dropout_drops_the_same_features_at_every_step_and_others_in_every_sentence() -> None:
    torch.manual_seed(5)
    dropped = SentenceDropout(0.5).train()(torch.ones(4, 7, 32))
    assert (dropped == dropped[:, :1]).all()
    assert len({tuple(row.tolist()) for row in dropped[:, 0]}) == 4


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_dropout_keeps_the_expectation(p: float) -> None:
    torch.manual_seed(6)
    dropped = SentenceDropout(p).train()(torch.ones(400, 2, 100))
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / (1 - p)])
    assert float(dropped.mean()) == pytest.approx(1.0, abs=4 * math.sqrt(p / (1 - p) / 40_000))


# --- loss -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_cross_entropy_equals_torchs_in_value_and_gradient(smoothing: float, scale: float) -> None:
    torch.manual_seed(7)
    logits = (torch.randn(9, 13) * scale).requires_grad_()
    target = torch.randint(0, 13, (9,))
    twin = logits.detach().clone().requires_grad_()
    ours = cross_entropy(logits, target, smoothing)
    torchs = F.cross_entropy(twin, target, reduction="sum", label_smoothing=smoothing)
    (0.37 * ours).backward()
    (0.37 * torchs).backward()
    assert torch.allclose(ours, torchs, rtol=1e-5)
    assert torch.allclose(logits.grad, twin.grad, atol=1e-6)


def test_cross_entropy_takes_bf16_logits_and_gives_a_gradient_of_their_kind() -> None:
    logits = torch.randn(5, 8).bfloat16().requires_grad_()
    target = torch.randint(0, 8, (5,))
    loss = cross_entropy(logits, target, 0.1)
    loss.backward()
    assert logits.grad.dtype == torch.bfloat16
    expected = F.cross_entropy(logits.detach().float(), target, reduction="sum", label_smoothing=0.1)
    assert torch.allclose(loss, expected, rtol=1e-5)


def test_the_loss_is_the_cross_entropy_of_the_real_positions(tiny_model: Build) -> None:
    model = tiny_model()
    source, lengths = pad(SOURCES)
    target_in, _ = pad(TARGETS)
    target_out, _ = pad([[*t[1:], 3] for t in TARGETS])
    logits = model.logits(model.decode(target_in, model.encode(source, lengths))[0])
    expected = F.cross_entropy(
        logits.flatten(0, 1), target_out.flatten(), ignore_index=0, reduction="sum", label_smoothing=0.1
    )
    assert torch.allclose(model(source, lengths, target_in, target_out, 0.1), expected, rtol=1e-5)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("attention", ATTENTION)
def test_padding_changes_neither_loss_nor_gradient(tiny_model: Build, attention: str, bidirectional: bool) -> None:
    results = []
    for extra in (0, 5):
        model = tiny_model(attention=attention, bidirectional=bidirectional)
        source, lengths = pad(SOURCES, extra)
        target_in, _ = pad(TARGETS, extra)
        target_out, _ = pad([[*t[1:], 3] for t in TARGETS], extra)
        loss = model(source, lengths, target_in, target_out, 0.1)
        loss.backward()
        results.append((loss.detach(), [p.grad for p in model.parameters()]))
    (loss, gradients), (padded_loss, padded_gradients) = results
    assert torch.allclose(loss, padded_loss, rtol=1e-5)
    assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-4) for a, b in zip(gradients, padded_gradients, strict=True))
