"""The words of a text, so that a query and a title meet whatever their case, width or script.

NFKC and casefold (Unicode Standard Annex 15; Unicode Standard, 3.13), then runs of letters and digits. Chinese and
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

_UNSPACED = "々\u3041-\u3096\u30a1-\u30fa\u30fc\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_RUNS = re.compile(f"([^\\W_{_UNSPACED}]+)|([{_UNSPACED}]+)")


def words(*texts: str) -> tuple[str, ...]:
    """The distinct words of some texts, in order, at most MOST; none where there is no letter and no digit."""
    found: dict[str, None] = {}
    for text in texts:
        for word, unspaced in _RUNS.findall(unicodedata.normalize("NFKC", text[:LONGEST]).casefold()):
            if word:
                found[word] = None
            else:
                found |= dict.fromkeys(_pairs(unspaced))
    return tuple(map(sys.intern, islice(found, MOST)))


def _pairs(run: str) -> list[str]:
    return [run[at : at + 2] for at in range(len(run) - 1)] or [run]
