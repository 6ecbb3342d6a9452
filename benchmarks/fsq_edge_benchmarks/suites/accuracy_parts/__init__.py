"""What the accuracy suite compares: contenders, folds and their outcomes."""
