"""One picture, from file to result: options, preparation, batches, verdict, files."""
