"""The ``fsq-edge`` command line. One module a verb; a verb is imported only when it is called."""
