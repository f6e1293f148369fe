from shopguide.recommenders.items import Items
