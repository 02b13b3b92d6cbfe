"""What is asked of Amazon before a job is launched: credentials, region, bucket, role, machine, quota."""
