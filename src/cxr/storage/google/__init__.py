"""Cloud Storage through the official SDK."""
