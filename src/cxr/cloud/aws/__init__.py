"""Amazon: SageMaker's jobs, machines of EC2, and moto's server on this machine that stands for both."""
