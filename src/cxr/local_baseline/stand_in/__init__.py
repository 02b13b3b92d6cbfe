"""What stands for AutoML on the emulator, as processes: a small net is trained, evaluated, exported, and scores."""
