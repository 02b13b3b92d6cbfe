"""Which images are one and the same, and which nearly."""
