"""Losses: pure functions from tensors to a scalar."""
