"""SageMaker's API calls: what is checked before moto gets them, and what moto does not answer."""
