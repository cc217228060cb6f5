"""How a comparison of two results is shown: one format a module."""
