"""The words of a text, so that a query and a title meet whatever their case, width, accents, number or script.

NFKD and casefold (Unicode Standard Annex 15; Unicode Standard, 3.13), without accents, then runs of letters and digits.
Of a word of Latin letters the singular: a plural's ending goes, and no more (Harman, "How effective is suffixing?",
JASIS 42(1), 1991, where that did as well as stemmers that cut deeper); y and ie are one, for both make ies. Chinese and
Japanese put no spaces between words: a run of theirs becomes its overlapping pairs of characters, which retrieve as
well as a segmenter's words do (Nie, Gao, Zhang, Zhou, "On the use of words and n-grams for Chinese information
retrieval", IRAL 2000); one that stands alone is itself.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from itertools import islice

LONGEST = 1000  # characters of a text that are read
MOST = 64  # distinct words that are taken
SHORT = 4  # letters that a plural has at least

_UNSPACED = "々\u3041-\u3096\u30a1-\u30fa\u30fc\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_RUNS = re.compile(f"([^\\W_{_UNSPACED}]+)|([{_UNSPACED}]+)")
_ACCENTS = re.compile("[\u0300-\u036f]+")
_PLURAL = re.compile("(?<=..)(?:(?<=[xz])es|(?<=ss)es|(?<=[cs]h)es|(?<![us])s)$")
_Y = re.compile("(?<=[a-z][b-df-hj-np-tv-z])(?:y|ie)$")


def words(*texts: str) -> tuple[str, ...]:
    """The distinct words of some texts, in order, at most MOST; none where there is no letter and no digit."""
    found: dict[str, None] = {}
    for text in texts:
        for word, unspaced in _RUNS.findall(_folded(text[:LONGEST])):
            if word:
                found[_singular(word)] = None
            else:
                found |= dict.fromkeys(_pairs(unspaced))
    return tuple(map(sys.intern, islice(found, MOST)))


def _folded(text: str) -> str:
    if text.isascii():
        return text.casefold()
    apart = unicodedata.normalize("NFKD", text).casefold()
    return unicodedata.normalize("NFKC", _ACCENTS.sub("", apart))


def _singular(word: str) -> str:
    if len(word) < SHORT or word[-1] not in "sye" or not (word.isascii() and word.isalpha()):
        return word
    return _Y.sub("i", _PLURAL.sub("", word))


def _pairs(run: str) -> list[str]:
    return [run[at : at + 2] for at in range(len(run) - 1)] or [run]
