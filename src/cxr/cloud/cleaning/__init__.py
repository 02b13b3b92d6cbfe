"""Everything that runs leave on the service and in the bucket: found, listed with its price, deleted in order."""
