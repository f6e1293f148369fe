from shopguide.recommenders.items import Items

__all__ = ["Items"]
