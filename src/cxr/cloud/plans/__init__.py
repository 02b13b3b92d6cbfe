"""The Plan noun for launches, and saved plans."""
