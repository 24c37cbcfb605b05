"""Exact laws of x."""
