"""One picture, from file to result: options, preparation, batches of draws, verdict, files and metrics."""
