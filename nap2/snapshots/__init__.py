"""What is measured (statistics, layers), when (recorder), and where it is kept (store)."""
