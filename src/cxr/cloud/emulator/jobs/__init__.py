"""Jobs: processes of their own that outlive the server and are found again by it."""
