"""The zoo: small adapters trained in recipe-matched pairs, so that a detector is judged on malice and not on a recipe."""
