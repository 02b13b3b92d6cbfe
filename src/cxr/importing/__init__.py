"""Models that other programs made: recognised by their files, described by a bundle of their own."""
