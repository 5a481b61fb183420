"""Gain models."""
