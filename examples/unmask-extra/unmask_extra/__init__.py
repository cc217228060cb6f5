"""A probe and a report of one's own."""
