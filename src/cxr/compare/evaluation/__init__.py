"""One bundle judged in depth: the numbers, their pictures, and the page (`cxr baseline evaluate`)."""
