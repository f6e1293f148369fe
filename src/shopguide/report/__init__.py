"""A training run and evaluations as one page, which needs nothing else: pictures are in it."""

from shopguide.report.page import evaluations, page

__all__ = ["evaluations", "page"]
