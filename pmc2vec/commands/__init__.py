"""One file for each subcommand that is neither build nor train."""
