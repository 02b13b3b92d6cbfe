"""What SageMaker's jobs do here: training, tuning, AutoML (a stand-in) and batch transform."""
