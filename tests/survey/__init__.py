"""A survey of ``check`` on networks that nobody here wrote; the expected answers come from public records."""
