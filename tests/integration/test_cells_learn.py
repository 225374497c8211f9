"""Every cell of the lesson trains: each learns 200 sentence pairs by heart."""

from __future__ import annotations

from pathlib import Path

import pytest

from translator.config import Config, CorpusConfig, ModelConfig, SearchConfig, SourceConfig, TrainingConfig
from translator.corpus.encode import Pair
from translator.search import search
from translator.tokenizer import EOS, Tokenizer
from translator.training.trainer import Trainer


@pytest.mark.parametrize(
    ("cell", "attention"), [("lstm", "multihead"), ("gru", "additive"), ("rnn", "dot"), ("lstm", "none")]
)
def test_a_model_learns_200_pairs_by_heart(
    cell: str, attention: str, pairs: list[tuple[str, str]], tokenizer: Tokenizer, tmp_path: Path
) -> None:
    recipe = Config(
        corpus=CorpusConfig(sources=(SourceConfig("unused.tsv"),), directions=("ko-en",)),
        model=ModelConfig(
            cell=cell,  # type: ignore[arg-type]
            attention=attention,  # type: ignore[arg-type]
            heads=2,
            embedding_size=96,
            hidden_size=128,
            encoder_layers=1,
            decoder_layers=1,
            dropout=0.0,
        ),
        training=TrainingConfig(
            batch_tokens=500,
            max_steps=600,
            validate_steps=10_000,
            learning_rate=0.004,
            label_smoothing=0.0,
            source_word_dropout=0.0,
            target_word_dropout=0.0,
            ema_decay=0.98,
            device="cpu",
        ),
    )
    assert len(pairs) == 200
    trainer = Trainer(recipe, [Pair(*p) for p in pairs], [], tokenizer, tmp_path)
    trainer.run()
    trainer.average.swap(trainer.model)
    prefix = tokenizer.source_prefix("en")
    sources = [[*prefix, *tokenizer.encode(ko), EOS] for ko, _ in pairs]
    found = search(trainer.model.eval(), sources, SearchConfig(beam_size=1, no_repeat_ngram=0), tokenizer.unwritable)
    outputs = [tokenizer.decode(h[0].ids) for h in found]
    wrong = [(ko, en, out) for (ko, en), out in zip(pairs, outputs, strict=True) if out != en]
    assert not wrong
