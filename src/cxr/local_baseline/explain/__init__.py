"""Why a model says what it says: activations of its layers, and maps of where the evidence lies."""
