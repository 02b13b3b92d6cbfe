"""The small APIs around a project: what it is, which APIs it has, its quotas, its builds, who may ask."""
