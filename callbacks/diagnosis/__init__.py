"""What is wrong with a training run, read from its record alone."""
