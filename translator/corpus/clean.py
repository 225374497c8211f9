"""Rules that drop the pairs no model should learn from, and the pairs it will be tested on."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

from translator.config import CorpusConfig
from translator.corpus.encode import Pair
from translator.corpus.load import load_pairs, read_test_set
from translator.text import clean, detect_language

RULES = ("empty", "too long", "length ratio", "wrong script", "identical", "duplicate", "held out")

HANGUL = re.compile("[\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3]")
NOT_LETTERS = re.compile(r"[\W_]+")
FEW_BYTES = 40  # up to here a length ratio says nothing: "OK" may be 알겠습니다
FEW_WORDS = 4


def prepare(config: CorpusConfig) -> tuple[list[Pair], Counter[str]]:
    """Load all sources and clean them, with the sentences of `dev` and `held_out` kept away.

    Returns the pairs in the order of the sources and the number of pairs that each of RULES dropped.
    """
    held_out = [pair for path in (config.dev, *config.held_out) if path for pair in read_test_set(path)]
    return clean_pairs(load_pairs(config), config, held_out)


def clean_pairs(
    pairs: Iterable[Pair], config: CorpusConfig, held_out: Iterable[tuple[str, str]] = ()
) -> tuple[list[Pair], Counter[str]]:
    """Tidy both sides of each pair and drop it by the first of RULES that it breaks.

    Returns the pairs kept, in order, and the number of pairs that each rule dropped.
    """
    drop = _Rules(config, held_out)
    kept: list[Pair] = []
    dropped = Counter(dict.fromkeys(RULES, 0))
    for ko, en, weight in pairs:
        pair = Pair(tidy(ko), tidy(en), weight)
        rule = drop(pair)
        if rule is None:
            kept.append(pair)
        else:
            dropped[rule] += 1
    return kept, dropped


def tidy(text: str) -> str:
    """Return `text` cleaned and on one line, with single spaces and none at its ends."""
    return " ".join(clean(text).split())


def normalise(text: str) -> str:
    """Return what makes two sentences the same one: its letters and digits, without case, width or spacing.

    A text without letters and digits is compared as it stands.
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    return NOT_LETTERS.sub("", text) or text


class _Rules:
    """The rules, with the pairs seen so far and the sentences held out."""

    def __init__(self, config: CorpusConfig, held_out: Iterable[tuple[str, str]]) -> None:
        self.config = config
        self.seen: set[tuple[str, str]] = set()
        self.held_ko: set[str] = set()
        self.held_en: set[str] = set()
        for ko, en in held_out:
            self.held_ko.add(normalise(clean(ko)))
            # "Yes." and "Okay." occur everywhere, with other Korean: only longer English gives a test sentence away.
            if len(en.split()) >= FEW_WORDS:
                self.held_en.add(normalise(clean(en)))

    def __call__(self, pair: Pair) -> str | None:
        """Return the first rule that `pair` breaks, or None; a pair that reaches the rule `duplicate` is remembered."""
        ko, en, _ = pair
        if not ko or not en:
            return "empty"
        if max(len(ko), len(en)) > self.config.max_characters:
            return "too long"
        short, long = sorted((len(ko.encode()), len(en.encode())))
        if long > FEW_BYTES and long > self.config.max_length_ratio * short:
            return "length ratio"
        # Technical Korean is full of Latin words, and English may quote some Hangul: neither makes a pair wrong.
        if not HANGUL.search(ko) or (HANGUL.search(en) and detect_language(en) == "ko"):
            return "wrong script"
        key = normalise(ko), normalise(en)
        if key[0] == key[1]:
            return "identical"
        if key in self.seen:
            return "duplicate"
        self.seen.add(key)
        if key[0] in self.held_ko or key[1] in self.held_en:
            return "held out"
        return None
