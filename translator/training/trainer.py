"""The training loop: steps, validation, checkpoints, and a clean end at any moment."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from translator.checkpoint import CheckpointInfo, load_checkpoint, save_checkpoint
from translator.config import Config, TrainingConfig, to_dict
from translator.corpus.batch import Batch
from translator.corpus.encode import Pair, cached_encode, encode_corpus
from translator.errors import TranslatorError
from translator.model import Seq2Seq
from translator.tokenizer import Tokenizer
from translator.training.distributed import World
from translator.training.optimizer import Average, Optimizer, schedule
from translator.training.progress import Progress
from translator.training.state import load_state, save_state
from translator.training.stream import BatchStream
from translator.training.validate import Validation, validate

STATE_VERSION = 1


@dataclass
class Counters:
    """How far a run has come; saved with it."""

    step: int = 0
    tokens: int = 0  # target pieces learned from
    minutes: float = 0.0  # of all sessions, validation included
    validated_minutes: float = 0.0  # when the last validation ended
    best_chrf: float = -1.0
    best_step: int = 0
    unimproved: int = 0  # validations since the best


class Trainer:
    """One training run in a folder: `best/` and `last/` are checkpoints, `state.pt` is what a resumed run needs."""

    def __init__(
        self,
        config: Config,
        pairs: Sequence[Pair],
        dev: Sequence[tuple[str, str]],
        tokenizer: Tokenizer,
        folder: Path,
        world: World | None = None,
        resume: bool = False,
    ) -> None:
        """Raises TranslatorError if `resume` finds no state or one of another recipe."""
        self.config, self.dev, self.tokenizer, self.folder = config, dev, tokenizer, folder
        self.world = world or World()
        c = config.training
        self.device = pick_device(c)
        if c.precision == "bf16" and not has_bf16(self.device):
            raise TranslatorError(
                "training.precision = bf16, but this processor has no bf16 arithmetic; use auto or fp32"
            )
        torch.manual_seed(c.seed)
        self.model = Seq2Seq(config.model, tokenizer.vocab_size).to(self.device)
        self.parallel: nn.Module = self.model
        if c.start_from and not resume:
            self._start_from(Path(c.start_from))
        self.optimizer = Optimizer(self.model, c)
        self.average = Average(self.model, c.ema_decay)
        self.counters = Counters()
        state = load_state(folder) if resume else None
        alpha, corpus = config.tokenizer.sampling_alpha, config.corpus
        arguments = (pairs, tokenizer, corpus.directions, corpus.max_tokens, corpus.speech_levels)
        if alpha:
            # A prime keeps the seeds of epochs, and of the two sides (seed, seed + 1), apart.
            self.stream = BatchStream(lambda epoch: encode_corpus(*arguments, alpha, c.seed + 7919 * epoch), c)
        else:
            encoded = cached_encode(folder / "cache", *arguments)
            self.stream = BatchStream(lambda epoch: encoded, c)
        if state is not None:
            self._restore(state)
        if self.world.size > 1:
            self.parallel = nn.parallel.DistributedDataParallel(self.model)
        self._started = time.monotonic()
        self._minutes_before = self.counters.minutes
        self._stop = ""

    def run(self, max_minutes: float = 0.0) -> Counters:
        """Train until the schedule ends, patience does, `max_minutes` of this session are over, or a signal comes.

        However it ends, the state is saved. Raises TranslatorError if the loss is no longer finite or the disk is full;
        the last good state and checkpoints are then intact.
        """
        c = self.config.training
        progress = Progress(self.folder, self.world.main)
        pace_tokens, pace_start, shown_loss = 0, time.monotonic(), math.nan
        self.model.train()
        progress.say(
            f"{sum(p.numel() for p in self.model.parameters()):,} weights, {self._precision()}, "
            f"{torch.get_num_threads()} threads, {self.world.size} process(es), step {self.counters.step}"
        )
        try:
            with self._signals():
                while not self._finished(max_minutes):
                    loss, tokens = self._step()
                    shown_loss = loss if math.isnan(shown_loss) else 0.98 * shown_loss + 0.02 * loss
                    pace_tokens += tokens
                    self._tick()
                    pace = pace_tokens / max(time.monotonic() - pace_start, 1e-9)
                    done = self._done()
                    remaining = self.counters.minutes * (1 - done) / done if done else 0.0
                    progress.step(self.counters.step, shown_loss, pace, remaining, self.stream.epoch)
                    if self.counters.step % 50 == 0:
                        rate = c.learning_rate * schedule(done, c.warmup)
                        progress.record(
                            self.counters.step, {"train/loss": loss, "train/tokens_per_s": pace, "train/lr": rate}
                        )
                    if self._validation_due():
                        self._validate(progress, shown_loss, pace)
                        pace_tokens, pace_start = 0, time.monotonic()
                if self.counters.step and self.counters.validated_minutes < self.counters.minutes:
                    self._validate(progress, shown_loss, pace_tokens / max(time.monotonic() - pace_start, 1e-9))
                progress.say(f"stopped at step {self.counters.step}: {self._stop}")
        finally:
            progress.close()
        self.world.wait()
        return self.counters

    # one step

    def _step(self) -> tuple[float, int]:
        """Learn from `accumulate` batches in every process; return the loss a target piece and the pieces."""
        c, world = self.config.training, self.world
        torch.manual_seed(hash((c.seed, self.counters.step, world.rank)) % 2**63)  # dropout as a function of the step
        mine = []
        for i in range(c.accumulate * world.size):
            batch = self.stream.next(build=i % world.size == world.rank)
            if batch is not None:
                mine.append(batch)
        (tokens,) = world.sum([float(sum(batch.target_tokens for batch in mine))])
        total = 0.0
        for i, batch in enumerate(mine):
            last = i == len(mine) - 1
            with nullcontext() if last or world.size == 1 else self.parallel.no_sync():  # type: ignore[operator]
                loss = self._loss(batch) / tokens
                (loss * world.size).backward()  # type: ignore[no-untyped-call]  # DDP takes the mean over processes; the sum is wanted
            total += float(loss.detach())
        (total,) = world.sum([total])
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), c.clip_norm, foreach=True)
        if not math.isfinite(total) or not math.isfinite(float(norm)):
            raise TranslatorError(
                f"training stopped at step {self.counters.step}: the loss is {total}; "
                f"the last good state is in {self.folder}; resume with a lower training.learning_rate"
            )
        self.optimizer.step(schedule(self._done(), c.warmup))
        self.counters.step += 1
        self.counters.tokens += int(tokens)
        self.average.update(self.model, self.counters.step)
        return total, int(tokens)

    def _loss(self, batch: Batch) -> torch.Tensor:
        parts = (batch.source, batch.lengths, batch.target_in, batch.target_out)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._precision() == "bf16"):
            loss: torch.Tensor = self.parallel(
                *(part.to(self.device) for part in parts), self.config.training.label_smoothing
            )
        return loss

    def _precision(self) -> str:
        wanted = self.config.training.precision
        return wanted if wanted != "auto" else "bf16" if has_bf16(self.device) else "fp32"

    # time and ends

    def _tick(self) -> None:
        """Read the main process's clock: what follows from the time, the learning rate too, must not differ."""
        minutes = self._minutes_before + (time.monotonic() - self._started) / 60
        (self.counters.minutes,) = self.world.sum([minutes if self.world.main else 0.0])

    def _done(self) -> float:
        """How much of the schedule is over, in [0, 1]: by steps or by time, whichever is further."""
        c = self.config.training
        by_steps = self.counters.step / c.max_steps if c.max_steps else 0.0
        by_time = self.counters.minutes / c.budget_minutes if c.budget_minutes else 0.0
        return min(max(by_steps, by_time), 1.0)

    def _finished(self, max_minutes: float) -> bool:
        c = self.config.training
        reason = self._stop
        if not reason and self._done() >= 1:
            reason = "the schedule is complete"
        if not reason and max_minutes and self.counters.minutes - self._minutes_before >= max_minutes:
            reason = f"{max_minutes:g} minutes are over"
        if not reason and c.patience and self.counters.unimproved >= c.patience:
            reason = f"{c.patience} validations without a better chrF"
        (stops,) = self.world.sum([1.0 if reason else 0.0])  # all stop together, whichever saw the reason
        self._stop = reason or ("another process stopped" if stops else "")
        return stops > 0

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """End at the next step, with everything saved, on SIGTERM or SIGINT; a second SIGINT interrupts at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(number: int, frame: object) -> None:
            self._stop = f"{signal.Signals(number).name}, everything is saved; continue with --resume"
            signal.signal(signal.SIGINT, signal.default_int_handler)

        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    # validation and files

    def _validation_due(self) -> bool:
        c = self.config.training
        if c.validate_steps:
            return self.counters.step % c.validate_steps == 0
        return self.counters.minutes - self.counters.validated_minutes >= c.validate_minutes

    def _validate(self, progress: Progress, train_loss: float, pace: float) -> None:
        """Let the main process measure and save; then agree on what decides when to stop."""
        c = self.counters
        if self.world.main:
            self.average.swap(self.model)
            self.model.eval()
            sentences = self.config.training.validate_sentences
            result = validate(self.model, self.tokenizer, self.dev, self.config.corpus, sentences) if self.dev else None
            if result is not None:
                self._judge(result, progress, train_loss, pace)
            self._write_checkpoint("last", result.scores if result else {})
            self.model.train()
            self.average.swap(self.model)
            c.validated_minutes = c.minutes
            save_state(self.folder, self._state())
        own = [c.best_chrf, float(c.best_step), float(c.unimproved)]
        best_chrf, best_step, unimproved = self.world.sum(own if self.world.main else [0.0, 0.0, 0.0])
        c.best_chrf, c.best_step, c.unimproved = best_chrf, int(best_step), int(unimproved)
        self._tick()
        c.validated_minutes = c.minutes

    def _judge(self, result: Validation, progress: Progress, train_loss: float, pace: float) -> None:
        """Report a validation, and write `best/` if none was better."""
        c = self.counters
        better = result.chrf > c.best_chrf
        c.unimproved = 0 if better else c.unimproved + 1
        figures = "  ".join(f"{name} {value:.1f}" for name, value in result.scores.items())
        progress.say(
            f"step {c.step}  {c.minutes:.1f} min  epoch {self.stream.epoch}  {pace:,.0f} tokens/s  "
            f"train {train_loss:.3f}  dev {result.loss:.3f}  {figures}{'  best' if better else ''}"
        )
        progress.record(c.step, {"dev/loss": result.loss, **{f"dev/{k}": v for k, v in result.scores.items()}})
        if better:
            c.best_chrf, c.best_step = result.chrf, c.step
            self._write_checkpoint("best", result.scores)

    def _write_checkpoint(self, name: str, scores: dict[str, float]) -> None:
        corpus = self.config.corpus
        facts: dict[str, Any] = {
            "steps": self.counters.step,
            "minutes": round(self.counters.minutes, 1),
            "target_tokens": self.counters.tokens,
            "sources": [source.path for source in corpus.sources],
            "dev_scores_greedy": {key: round(value, 2) for key, value in scores.items()},
        }
        info = CheckpointInfo(
            corpus.directions, self.tokenizer.vocab_size, self.config.model, corpus.speech_levels, training=facts
        )
        save_checkpoint(self.folder / name, self.model.state_dict(), self.tokenizer, info)

    def _state(self) -> dict[str, Any]:
        return {
            "version": STATE_VERSION,
            "config": to_dict(self.config),
            "counters": dict(vars(self.counters)),
            "epoch": self.stream.epoch,
            "index": self.stream.index,
            "model": self.model.state_dict(),
            "average": self.average.weights,
            "optimizer": self.optimizer.state_dict(),
        }

    def _start_from(self, folder: Path) -> None:
        start = load_checkpoint(folder, self.device)
        if start.info.model != self.config.model or start.tokenizer.model != self.tokenizer.model:
            raise TranslatorError(
                f"training.start_from = {folder}: its [model] or tokenizer is another; "
                f"use the same [model] and tokenizer.path = {folder}/tokenizer.model"
            )
        self.model.load_state_dict(start.model.state_dict())

    def _restore(self, state: dict[str, Any]) -> None:
        if state.get("version") != STATE_VERSION:
            raise TranslatorError(
                f"{self.folder}: its training state has version {state.get('version')}, not {STATE_VERSION}"
            )
        for section in ("model", "tokenizer", "corpus"):
            if state["config"][section] != to_dict(self.config)[section]:
                raise TranslatorError(
                    f"{self.folder}: the run was started with another [{section}]; "
                    f"resume with the same recipe or train into a new folder"
                )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.weights = [w.to(self.device) for w in state["average"]]
        self.counters = replace(self.counters, **state["counters"])
        self.stream.epoch, self.stream.index = state["epoch"], state["index"]


def pick_device(config: TrainingConfig) -> torch.device:
    """Return the device that `config.device` names; "auto" is a GPU where there is one."""
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if config.device == "cuda" and not torch.cuda.is_available():
        raise TranslatorError("training.device = cuda, but torch sees no GPU; use cpu or auto")
    return torch.device(config.device)


def has_bf16(device: torch.device) -> bool:
    """Whether bf16 arithmetic is native there: elsewhere it is far slower than fp32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))
