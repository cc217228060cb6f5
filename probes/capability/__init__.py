"""What the model can do, base against adapted: shipped items by likelihood, and any task of lm-eval."""
