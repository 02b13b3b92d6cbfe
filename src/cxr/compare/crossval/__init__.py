"""Cross-validation: a recipe judged on every patient of the training pool (`cxr baseline crossval`)."""
