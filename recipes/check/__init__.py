"""`trainwell check`: a saved model judged on data, watched in a short run, repaired."""
