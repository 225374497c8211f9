"""Greedy and beam search over a model that can take one step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from translator.config import SearchConfig
from translator.model import Seq2Seq
from translator.model.decoder import DecoderState
from translator.tokenizer import BOS, EOS, PAD

NEVER = float("-inf")


@dataclass(frozen=True)
class Hypothesis:
    """One finished translation of one sentence."""

    ids: list[int]  # without the start symbol and the end of sentence
    score: float  # log-probability, normalised as SearchConfig says; comparable within a sentence
    log_probability: float  # natural logarithm, summed over the pieces and the end of sentence
    attention: Tensor | None = field(
        default=None, compare=False
    )  # [steps, source], rows sum to 1: a piece each, then the end unless cut off


@dataclass
class _Beams:
    """The live hypotheses: `beam` rows for each sentence that is still searched."""

    state: DecoderState
    tokens: Tensor  # [rows, steps], each row begins with BOS
    scores: Tensor  # [rows], summed log-probabilities
    attention: Tensor | None  # [rows, steps - 1, source]

    def select(self, rows: Tensor) -> _Beams:
        attention = None if self.attention is None else self.attention[rows]
        return _Beams(self.state.select(rows), self.tokens[rows], self.scores[rows], attention)


@torch.inference_mode()
def search(
    model: Seq2Seq,
    sources: Sequence[Sequence[int]],
    config: SearchConfig,
    unwritable: Sequence[int] = (),
    keep_attention: bool = False,
) -> list[list[Hypothesis]]:
    """Translate a batch of sentences (ids with tags and end of sentence): for each its n best, the best first.

    Beam search with pruning to `beam_size` and GNMT's length and coverage terms (Wu et al. 2016, eq. 14). A sentence
    leaves the batch when no live hypothesis can beat its n best. `unwritable` ids are never produced.
    """
    if not sources:
        return []
    device = next(model.parameters()).device
    beam, alpha = config.beam_size, config.length_penalty
    lengths = torch.tensor([len(s) for s in sources], device=device)
    padded = torch.nn.utils.rnn.pad_sequence([torch.tensor(s, device=device) for s in sources], True, PAD)
    limits = [int(config.max_length_factor * len(s)) + config.max_length_extra for s in sources]
    needs_attention = (keep_attention or config.coverage_penalty > 0) and model.config.attention != "none"

    live = list(range(len(sources)))  # sentences still searched, in the order of the rows
    finished: list[list[Hypothesis]] = [[] for _ in sources]
    first = torch.arange(len(sources), device=device).repeat_interleave(beam)
    beams = _Beams(
        model.encode(padded, lengths).select(first),
        torch.full((len(first), 1), BOS, device=device),
        # Only one of the equal first hypotheses may live, or the beam would hold copies.
        torch.tensor([0.0] + [NEVER] * (beam - 1), device=device).repeat(len(sources)),
        torch.zeros(len(first), 0, padded.shape[1], device=device) if needs_attention else None,
    )
    forbidden = torch.tensor(list(unwritable), dtype=torch.long, device=device)

    step = 0
    while live:
        step += 1
        read_out, weights, beams.state = model.decode(beams.tokens[:, -1:], beams.state)
        if beams.attention is not None and weights is not None:
            beams.attention = torch.cat([beams.attention, weights], dim=1)
        log_probs = model.logits(read_out[:, 0]).float().log_softmax(-1)  # [rows, vocabulary]
        log_probs[:, forbidden] = NEVER
        if step <= config.min_length:
            log_probs[:, EOS] = NEVER
        _ban_repeats(log_probs, beams.tokens, config.no_repeat_ngram)

        vocab = log_probs.shape[1]
        totals = (beams.scores.unsqueeze(1) + log_probs).view(len(live), beam * vocab)
        # Twice the beam: even if half of the best candidates end here, the beam stays full.
        best, flat = totals.topk(2 * beam, dim=1)
        rows = flat // vocab + torch.arange(0, len(live) * beam, beam, device=device).unsqueeze(1)
        token = flat % vocab
        ends = token == EOS
        for i, sentence in enumerate(live):
            # A candidate below the beam's width is no survivor, ended or not.
            for k in torch.nonzero(ends[i, :beam] & (best[i, :beam] > NEVER)).flatten().tolist():
                finished[sentence].append(_finish(beams, int(rows[i, k]), float(best[i, k]), config))
        best = best.masked_fill(ends, NEVER)
        best, order = best.topk(beam, dim=1)  # the best that go on, in order
        rows, token = rows.gather(1, order), token.gather(1, order)

        stay = []
        for i, sentence in enumerate(live):
            top = float(best[i, 0])
            done = sorted((h.score for h in finished[sentence]), reverse=True)[: config.n_best]
            # Scores only fall and the longest output has the mildest penalty: an upper bound for what is live.
            # (A coverage term is at most 0, so the bound holds with it too.)
            beaten = len(done) == config.n_best and top / _length_term(limits[sentence], alpha) <= done[-1]
            # Greedy search ends with the first end of sentence, whatever might have followed the second best.
            full = len(finished[sentence]) >= beam and (beam == 1 or top / _length_term(step + 1, alpha) <= done[-1])
            if step >= limits[sentence] and top > NEVER:
                for k in range(config.n_best - len(finished[sentence])):  # cut off rather than lost
                    if float(best[i, k]) > NEVER:
                        finished[sentence].append(
                            _cut(beams, int(rows[i, k]), int(token[i, k]), float(best[i, k]), config)
                        )
            elif top > NEVER and not beaten and not full:
                stay.append(i)
        if len(stay) < len(live):
            live = [live[i] for i in stay]
            kept = torch.tensor(stay, dtype=torch.long, device=device)
            rows, token, best = rows[kept], token[kept], best[kept]
        beams = beams.select(rows.flatten())
        beams.tokens = torch.cat([beams.tokens, token.view(-1, 1)], dim=1)
        beams.scores = best.flatten()

    for sentence, hypotheses in enumerate(finished):
        hypotheses.sort(key=lambda h: h.score, reverse=True)
        del hypotheses[config.n_best :]
        finished[sentence] = [_trim(h, len(sources[sentence])) for h in hypotheses]
    return finished


def _length_term(length: int, alpha: float) -> float:
    """The penalty lp(Y) of GNMT for `length` pieces, the end of sentence included."""
    return float(((5 + length) / 6) ** alpha)


def _finish(beams: _Beams, row: int, total: float, config: SearchConfig) -> Hypothesis:
    ids = beams.tokens[row, 1:].tolist()
    score = total / _length_term(len(ids) + 1, config.length_penalty)
    attention = None
    if beams.attention is not None:
        attention = beams.attention[row].cpu()
        if config.coverage_penalty:
            covered = attention.sum(0)
            covered = covered[covered > 0]  # padding has none
            score += config.coverage_penalty * float(covered.clamp(max=1.0).log().sum())
    return Hypothesis(ids, score, total, attention)


def _cut(beams: _Beams, row: int, token: int, total: float, config: SearchConfig) -> Hypothesis:
    """A hypothesis that reached the length limit without ending."""
    whole = _finish(beams, row, total, config)
    return Hypothesis([*whole.ids, token], whole.score, total, whole.attention)


def _trim(hypothesis: Hypothesis, source_length: int) -> Hypothesis:
    """Drop the attention to padding, whose width depends on the batch."""
    if hypothesis.attention is None:
        return hypothesis
    attention = hypothesis.attention[:, :source_length]
    return Hypothesis(hypothesis.ids, hypothesis.score, hypothesis.log_probability, attention)


def _ban_repeats(log_probs: Tensor, tokens: Tensor, n: int) -> None:
    """Forbid, in place, every token that would complete an n-gram already in its row (Paulus et al. 2018)."""
    if not n or tokens.shape[1] < n:
        return
    windows = tokens.unfold(1, n, 1)  # [rows, windows, n]
    suffix = tokens[:, tokens.shape[1] - n + 1 :].unsqueeze(1)
    row, window = torch.nonzero((windows[:, :, : n - 1] == suffix).all(-1), as_tuple=True)
    log_probs[row, windows[row, window, n - 1]] = NEVER
