"""Amazon: S3, SageMaker and EC2."""
