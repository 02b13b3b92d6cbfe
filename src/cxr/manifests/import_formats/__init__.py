"""One file per import format: how a row is written and how it is read back."""
