"""The one door to files: literal paths, patterns, atomic writes, locks."""
