"""A container image with the trainer in it, for projects that may not pull or install anything."""
