"""The Vertex AI REST API: datasets, training pipelines, custom jobs, models, operations."""
