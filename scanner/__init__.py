"""unmask's engine: one deployment in, one verdict out."""
