"""What a config names: candidates, labels, splits, the exam on them, and where its files lie."""
