"""The weights files against the promises of their formats, and the numbers in them."""
