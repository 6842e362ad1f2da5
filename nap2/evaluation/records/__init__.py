"""What is kept of an evaluation, and what others have published."""
