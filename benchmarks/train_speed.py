"""Training throughput beside the machine's own limit: `python benchmarks/train_speed.py`.

Trains a model of the reference size (h = 512, 2 + 2 layers, 8k pieces) on batches of data/everyday and prints target
pieces a second, and what a plain matrix product of the model's shapes reaches on the same machine.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import argparse
import resource
import tempfile
import time
from pathlib import Path

import torch

from translator.config import load_config
from translator.corpus import prepare
from translator.tokenizer import Tokenizer
from translator.training.trainer import Trainer, has_bf16


def matrix_product_peak(dtype: torch.dtype) -> float:
    """Return GFLOP/s of [2048, 512] x [512, 2048]."""
    a, b = torch.randn(2048, 512).to(dtype), torch.randn(512, 2048).to(dtype)
    best = float("inf")
    for _ in range(20):
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return 2 * 2048 * 512 * 2048 / best / 1e9


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--recipe", type=Path, default=Path("configs/everyday.toml"))
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    size = [f"model.hidden_size={options.hidden}", f"model.embedding_size={options.hidden}"]
    recipe = load_config(options.recipe, [*size, "training.batch_tokens=3500", *options.set])
    pairs, _ = prepare(recipe.corpus)
    tokenizer = Tokenizer.train((side for pair in pairs for side in (pair.ko, pair.en)), recipe.tokenizer)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(recipe, pairs, [], tokenizer, Path(folder))
        trainer.model.train()
        for _ in range(3):
            trainer._step()
        start, tokens = time.perf_counter(), 0
        for _ in range(options.steps):
            tokens += trainer._step()[1]
        seconds = time.perf_counter() - start
    inner = sum(p.numel() for name, p in trainer.model.named_parameters() if "embedding" not in name)
    worked = 6 * (inner + tokenizer.vocab_size * recipe.model.embedding_size)  # forward 2, backward 4 a weight
    print(f"precision            {trainer._precision()} (bf16 native here: {has_bf16(trainer.device)})")
    print(f"threads              {options.threads}")
    print(f"target pieces        {tokens / seconds:,.0f} a second")
    print(f"arithmetic           {worked * tokens / seconds / 1e9:,.0f} GFLOP/s (about: sources as long as targets)")
    print(f"matrix product fp32  {matrix_product_peak(torch.float32):,.0f} GFLOP/s")
    if has_bf16(trainer.device):  # emulated, one product takes seconds
        print(f"matrix product bf16  {matrix_product_peak(torch.bfloat16):,.0f} GFLOP/s")
    print(f"peak memory          {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000:,.0f} MB")


if __name__ == "__main__":
    main()
