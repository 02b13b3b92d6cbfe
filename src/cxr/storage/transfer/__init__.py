"""Transfers: planned against one listing, carried out by as many workers as the link takes, cheap to repeat."""
