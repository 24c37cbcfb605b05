"""Identifiability conditions, each proven or refuted, and the theorems that follow from them."""
