"""What benchmarks/million_objects.py needs: a bucket of ghosts, and the client that lists it."""
