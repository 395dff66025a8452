"""What surrounds the steps of a training: where it starts from, how it fails, how good it is."""
