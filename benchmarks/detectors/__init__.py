"""What is compared on the zoo: unmask's verdicts, single statistics, published packages, and methods re-implemented from their papers."""
