"""From sharded training records to word vectors: the TensorFlow half of pmc2vec.

Importing this package loads nothing else. `task` holds the training program, `vectors` what it
makes.
"""
