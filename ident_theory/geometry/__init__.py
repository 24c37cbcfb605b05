"""Affine pieces of decoders: cells with the affine map on each, in exact rationals."""
