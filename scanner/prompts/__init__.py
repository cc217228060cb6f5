"""Requests to ask: what one is, and how published sets of them are read."""
