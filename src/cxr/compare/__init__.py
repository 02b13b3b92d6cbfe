"""All models judged on the same patients by the same ruler."""
