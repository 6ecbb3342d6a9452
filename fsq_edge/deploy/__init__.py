"""From a training run to the files that the compile package takes."""
