"""Many pictures: inputs, the run, its pipeline and backends, checkpoints, logs, shards and status."""
