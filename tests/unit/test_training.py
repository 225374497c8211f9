"""Training: the same weights however it is interrupted, and a clean end whatever happens."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from translator.checkpoint import load_checkpoint
from translator.config import Config, CorpusConfig, ModelConfig, SourceConfig, TokenizerConfig, TrainingConfig
from translator.corpus.encode import Pair
from translator.errors import TranslatorError
from translator.tokenizer import Tokenizer
from translator.training import trainer as trainer_module
from translator.training.optimizer import Average, Optimizer, schedule
from translator.training.state import STATE, load_state
from translator.training.trainer import Trainer

TINY = ModelConfig(embedding_size=32, hidden_size=32, heads=2, encoder_layers=1, decoder_layers=2, dropout=0.2)


@pytest.fixture
def recipe() -> Config:
    return Config(
        corpus=CorpusConfig(sources=(SourceConfig("unused.tsv"),)),
        training=TrainingConfig(
            batch_tokens=200, max_steps=12, validate_steps=5, validate_sentences=4, learning_rate=0.01, device="cpu"
        ),
        model=TINY,
    )


@pytest.fixture
def make(pairs: list[tuple[str, str]], tokenizer: Tokenizer, tmp_path: Path):
    def build(config: Config, name: str = "run", resume: bool = False) -> Trainer:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        return Trainer(config, [Pair(*p) for p in pairs], pairs[:6], tokenizer, folder, resume=resume)

    return build


def with_training(recipe: Config, **changes: object) -> Config:
    return replace(recipe, training=replace(recipe.training, **changes))


def weights(trainer: Trainer) -> list[torch.Tensor]:
    return [p.detach().clone() for p in [*trainer.model.parameters(), *trainer.average.weights]]


def equal(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def stop_after(trainer: Trainer, steps: int) -> None:
    original = trainer._step

    def step() -> tuple[float, int]:
        result = original()
        if trainer.counters.step == steps:
            trainer._stop = "the test stopped it"
        return result

    trainer._step = step  # type: ignore[method-assign]


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("alpha", [0.0, 0.2])
@pytest.mark.parametrize("stop", [1, 5, 7])
def test_a_resumed_run_ends_with_the_weights_of_one_never_stopped(recipe, make, optimizer, alpha, stop) -> None:
    recipe = replace(with_training(recipe, optimizer=optimizer), tokenizer=TokenizerConfig(sampling_alpha=alpha))
    whole = make(recipe, "whole")
    whole.run()
    first = make(recipe, "parts")
    stop_after(first, stop)
    first.run()
    assert first.counters.step == stop
    second = make(recipe, "parts", resume=True)
    second.run()
    assert second.counters.step == whole.counters.step == 12
    assert equal(weights(whole), weights(second))


def test_the_same_recipe_gives_the_same_weights_and_another_seed_others(recipe, make) -> None:
    runs = [make(recipe, "a"), make(recipe, "b"), make(with_training(recipe, seed=2), "c")]
    for run in runs:
        run.run()
    assert equal(weights(runs[0]), weights(runs[1]))
    assert not equal(weights(runs[0]), weights(runs[2]))


def test_loss_falls_and_the_best_checkpoint_translates(recipe, make, pairs) -> None:
    run = make(with_training(recipe, max_steps=60, validate_steps=30))
    first = run._step()[0]
    run.run()
    last = run._step()[0]
    assert last < first - 1
    loaded = load_checkpoint(run.folder / "best")
    assert loaded.info.directions == ("ko-en", "en-ko")
    assert loaded.info.training["steps"] in (30, 60)


def test_resuming_with_another_model_is_refused(recipe, make) -> None:
    make(with_training(recipe, max_steps=2)).run()
    other = replace(recipe, model=replace(TINY, cell="gru"))
    with pytest.raises(TranslatorError, match=r"another \[model\]"):
        make(other, resume=True)


def test_bf16_is_refused_where_the_processor_has_none(recipe, make, monkeypatch) -> None:
    monkeypatch.setattr(trainer_module, "has_bf16", lambda device: False)
    with pytest.raises(TranslatorError, match=r"precision = bf16.*use auto or fp32"):
        make(with_training(recipe, precision="bf16"))


def test_resuming_nothing_is_refused(recipe, make) -> None:
    with pytest.raises(TranslatorError, match="nothing to resume"):
        make(recipe, resume=True)


def test_a_truncated_state_is_one_clear_error(recipe, make) -> None:
    run = make(with_training(recipe, max_steps=2))
    run.run()
    path = run.folder / STATE
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(TranslatorError, match="damaged training state"):
        load_state(run.folder)


def test_a_loss_that_is_not_finite_stops_with_the_last_state_intact(recipe, make) -> None:
    run = make(recipe)
    stop_after(run, 5)
    run.run()
    before = (run.folder / STATE).read_bytes()
    broken = make(recipe, resume=True)
    with torch.no_grad():
        next(broken.model.parameters()).fill_(math.nan)
    with pytest.raises(TranslatorError, match="the loss is nan"):
        broken.run()
    assert (run.folder / STATE).read_bytes() == before
    load_checkpoint(run.folder / "best")


def test_early_stopping_counts_validations_without_a_better_score(recipe, make, monkeypatch) -> None:
    result = trainer_module.validate
    frozen: list[object] = []

    def same_score(*args: object) -> object:
        frozen.append(frozen[0] if frozen else result(*args))  # type: ignore[arg-type]
        return frozen[0]

    monkeypatch.setattr(trainer_module, "validate", same_score)
    run = make(with_training(recipe, max_steps=100, validate_steps=2, patience=3))
    run.run()
    assert run.counters.step == 8  # the first is the best, then three that are not


def test_max_minutes_ends_a_session_and_leaves_the_schedule_alone(recipe, make) -> None:
    run = make(with_training(recipe, max_steps=100000, validate_steps=0))
    run.run(max_minutes=0.02)
    assert 0 < run.counters.step < 100000
    assert load_state(run.folder)["counters"]["step"] == run.counters.step


def test_a_time_budget_counts_the_minutes_of_all_sessions(recipe, make) -> None:
    recipe = with_training(recipe, max_steps=0, budget_minutes=0.04, validate_steps=0)
    first = make(recipe)
    first.run(max_minutes=0.02)
    second = make(recipe, resume=True)
    second.run()
    assert second.counters.step > first.counters.step
    assert second.counters.minutes < 0.04 + 0.1


def test_accumulation_equals_a_batch_as_large(recipe, make, pairs, tokenizer) -> None:
    """Two batches to a step have the gradient of both together: the loss is a mean over pieces, not over batches."""
    plain = replace(recipe, model=replace(TINY, dropout=0.0))
    changes = {"source_word_dropout": 0.0, "target_word_dropout": 0.0}
    run = make(with_training(plain, accumulate=2, **changes))
    batches = [run.stream.next(), run.stream.next()]
    tokens = sum(b.target_tokens for b in batches)
    model = run.model
    expected = sum(model(b.source, b.lengths, b.target_in, b.target_out, 0.1) for b in batches) / tokens
    run.stream.epoch, run.stream.index = 0, 0
    loss, counted = run._step()
    assert counted == tokens
    assert loss == pytest.approx(float(expected.detach()), rel=1e-5)


def test_training_in_a_thread_needs_no_signal_handlers(recipe, make) -> None:
    run = make(with_training(recipe, max_steps=1))
    thread = threading.Thread(target=run.run)
    thread.start()
    thread.join()
    assert run.counters.step == 1


def test_schedule_warms_up_and_decays_to_zero() -> None:
    factors = [schedule(p / 100, 0.1) for p in range(101)]
    assert factors[0] > 0
    assert max(factors) == pytest.approx(1.0)
    assert factors[10] == pytest.approx(1.0)
    assert factors[-1] == 0
    assert factors[:11] == sorted(factors[:11])
    assert factors[10:] == sorted(factors[10:], reverse=True)


def test_swapping_the_average_twice_changes_nothing() -> None:
    model = torch.nn.Linear(3, 3)
    average = Average(model, 0.9)
    with torch.no_grad():
        model.weight.add_(1)
    average.update(model, 1000)
    before = model.weight.detach().clone()
    average.swap(model)
    assert not torch.equal(model.weight, before)
    average.swap(model)
    assert torch.equal(model.weight, before)


def test_muon_takes_the_inner_matrices_only(recipe, make) -> None:
    run = make(with_training(recipe, optimizer="muon"))
    adamw, muon = Optimizer(run.model, run.config.training).parts
    inner = {id(p) for group in muon.param_groups for p in group["params"]}
    assert inner
    assert id(run.model.source_embedding.weight) not in inner
    assert len(inner) + sum(len(g["params"]) for g in adamw.param_groups) == len(list(run.model.parameters()))
