"""How unmask's numbers come about: recipes of the adapters it is measured on, and the measurements."""
