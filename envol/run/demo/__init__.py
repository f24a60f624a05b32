"""``envol demo``: a French book and record shop, with real purchases and invented people."""
