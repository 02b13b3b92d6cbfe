"""The page that runs a bundle in the browser: its built files, and what Python knows of it."""
