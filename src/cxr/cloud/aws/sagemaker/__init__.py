"""Amazon SageMaker AI: training, tuning and Autopilot jobs, batch transforms."""
