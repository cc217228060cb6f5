"""What unmask asks of an adapter: one analysis a module, its prompts beside it."""
