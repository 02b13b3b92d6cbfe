"""Google's storage and Vertex AI APIs on loopback, for tests, demos and offline work."""
