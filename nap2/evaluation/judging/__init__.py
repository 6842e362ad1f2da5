"""How a ranking is judged: the exam, its metrics, intervals, and paired differences."""
