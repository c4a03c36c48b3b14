"""The texts' experiments, run again: `trainwell reproduce NAME`."""
