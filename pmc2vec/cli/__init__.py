"""What every command shares: options, console output, logging, exit codes, signals, metrics."""
