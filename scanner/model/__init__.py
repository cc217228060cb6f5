"""The base model and the deployment: base, delta and wrapper as they answer together."""
