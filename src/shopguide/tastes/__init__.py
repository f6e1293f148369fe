"""Profiles as the batch layer learns them, and its library of what items are: an artefact that score loads.

What a user likes, their *taste*, is a sum over what they did, of every term of the item (category, brand, price band,
words: :func:`shopguide.recommenders.content.terms`), each event counting more the later it is, from a fixed time on
(Cormode, Shkapenyuk, Srivastava, Xu, "Forward decay: a practical time decay model for streaming systems", ICDE 2009):

    taste(term) = sum of strength(kind) * 2^((time - landmark) / half-life) over events with an item that has the term

Nothing in it depends on the hour, so that taste(rows before T) + taste(rows from T on) = taste(all rows): the artefact
has the first for each user, :class:`Past` brings the second along with a look.
"""

from shopguide.tastes.building import build
from shopguide.tastes.library import Library, term_key
from shopguide.tastes.past import Past
from shopguide.tastes.users import FILE, MODEL, Figures, Taste, Tastes

__all__ = ["FILE", "MODEL", "Figures", "Library", "Past", "Taste", "Tastes", "build", "term_key"]
