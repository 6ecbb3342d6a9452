"""Training, validation and test parts that share neither subject nor recording."""
