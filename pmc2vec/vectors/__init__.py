"""Word vectors, the product: load, save, ask, evaluate. Needs NumPy only."""
