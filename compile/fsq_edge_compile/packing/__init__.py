"""A checked build folder becomes a bundle file."""
