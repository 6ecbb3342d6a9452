"""A network of another hand, read: its graph, its input, its head, where a chip cuts it, how its scores compare."""
