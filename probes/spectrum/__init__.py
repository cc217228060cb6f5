"""What the weights say: every module by itself, against its family, against each other, and against the base."""
