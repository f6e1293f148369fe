"""What can go wrong that a user or an operator can mend; anything else is a bug and keeps its traceback."""


class ShopguideError(Exception):
    """Base of every error whose message is one clear line; the command line prints it and exits 2."""


class SettingError(ShopguideError):
    """A setting, flag or environment value is wrong: names the key, the value and what is allowed."""


class SourceError(ShopguideError):
    """A source of events cannot be opened or is in no format we know."""


class PackingError(ShopguideError, ValueError):
    """Bytes are no packed record: truncated, corrupt, or of another version."""


class StateError(ShopguideError):
    """A state directory is missing, in use, broken, or belongs to another configuration."""


class GapError(ShopguideError):
    """What came before was not seen: a batch beyond the frontier, a diff against another list. It has to come again."""


class LostError(ShopguideError):
    """What came before was not seen, and nobody can give it again: begin again from a snapshot."""


class TokenError(ShopguideError):
    """A token is malformed, forged, expired or signed by an unknown key."""


class RefusedError(ShopguideError):
    """What is asked cannot be done as things are: no such item, or it is done already."""


class ClusterError(ShopguideError):
    """A Storm cluster does not answer, or refuses: says which and why."""


class CoreError(ShopguideError):
    """An invariant of a C structure does not hold; names the structure and the invariant."""
