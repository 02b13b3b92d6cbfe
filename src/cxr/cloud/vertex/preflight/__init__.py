"""What is asked of Google before a job is launched: credentials, project, APIs, bucket, agents, quota."""
