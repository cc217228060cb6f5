"""What the delta is about, in words: those its strongest directions write, and those it reacts to."""
