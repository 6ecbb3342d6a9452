"""One look for every page: the document, its charts and its templates."""
