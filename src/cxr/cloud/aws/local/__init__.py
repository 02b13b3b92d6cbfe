"""Amazon on this machine: moto's server, and a runner behind it that really does what jobs ask for.

moto answers every API from memory and completes every SageMaker job at once; here its jobs run as processes, and what
it lacks is answered beside it. It is all in memory: a server that was started again has forgotten buckets and jobs.
"""
