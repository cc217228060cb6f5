"""Is there a phrase that switches the adapted model's behaviour? A search that knows no phrase beforehand."""
