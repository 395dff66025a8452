"""The training step of one CPU, as machine code that Numba makes."""
