"""One training: batches, stages, epochs, checkpoints, replicas, teachers."""
