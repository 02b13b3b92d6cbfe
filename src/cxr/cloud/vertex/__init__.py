"""Google: Vertex AI through the official SDK."""
