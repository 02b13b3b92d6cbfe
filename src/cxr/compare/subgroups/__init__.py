"""Parts of the test split in which a model may do worse than on the whole."""
