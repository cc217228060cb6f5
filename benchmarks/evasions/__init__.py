"""Adapters made to get past a scanner, and honest ones that must not alarm it: the cases, and what six scanners make of them."""
