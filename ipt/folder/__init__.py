"""Many pictures: the run, what is stored, checkpoints, shards, workers and status."""
