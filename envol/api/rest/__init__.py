"""``/v3/REST`` and its neighbours: resources as tables of fields and acts, from which all calls follow."""
