"""Reading an adapter's files without trusting them: bounded, strict, and without running anything."""
