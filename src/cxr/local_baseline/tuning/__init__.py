"""A recipe's hyperparameters searched on this machine: Optuna asks, the local trainer answers."""
