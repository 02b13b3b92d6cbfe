"""Exporters, one format a file, each a function of a Keras model and a path."""
