"""What a trained model that stays with the service answers for images, and the service's own evaluation of it."""
