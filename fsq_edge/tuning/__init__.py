"""Fitting the decision settings to continuous labelled recordings."""
