"""Where a step runs: one device, several in step, several that are averaged."""
