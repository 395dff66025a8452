"""The contract between the Beam job and the trainer: records, manifest, vocabulary, skip-grams."""
