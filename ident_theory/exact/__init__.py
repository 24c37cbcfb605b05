"""Exact numbers and rigorous enclosures; knows nothing of models."""
