"""What runs elsewhere: the Job noun with its journal, launching, looking, waiting, finding again."""
