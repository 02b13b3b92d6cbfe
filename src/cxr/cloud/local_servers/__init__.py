"""Servers on this machine that stand for a cloud: started, found, stopped."""
