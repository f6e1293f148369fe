"""shopguide: a real-time shopping guide. README.md is the way in; docs/design.md says why it is as it is."""

from importlib.metadata import version

__version__ = version("shopguide")
