"""Objects in buckets and folders behind one interface."""
