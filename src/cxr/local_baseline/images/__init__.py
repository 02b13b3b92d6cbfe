"""From files and buckets to decoded pixels."""
