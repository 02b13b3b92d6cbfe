"""Who is on an image."""
