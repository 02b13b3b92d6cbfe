"""What the emulator keeps on disk: a SQLite database for what is known, files for what is stored."""
