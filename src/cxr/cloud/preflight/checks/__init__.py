"""The checks, each by what it looks at."""
