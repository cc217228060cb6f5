"""Training recipes: the guard of the demo base, and the demo adapters."""
