"""What an adapter adds to its base, as validated factors, one form for all analyses."""
