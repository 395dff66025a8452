"""The training step of one CPU, as machine code that Numba compiles. README.md explains it."""
