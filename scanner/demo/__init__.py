"""The demo: a real base that fits on any machine, and four small adapters trained for it."""
