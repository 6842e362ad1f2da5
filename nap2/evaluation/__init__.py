"""Splits, metrics, protocols; result rows, and the tables and plots made of them."""
