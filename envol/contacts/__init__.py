"""People: typed properties, lists, orders, imports."""
