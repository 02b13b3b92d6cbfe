"""Machines of EC2 that run one job and end by themselves."""
