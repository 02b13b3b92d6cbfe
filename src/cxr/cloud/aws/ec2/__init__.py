"""The trainer on one EC2 instance that ends by itself."""
