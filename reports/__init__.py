"""How a result is shown: one format a module."""
