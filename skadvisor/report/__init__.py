"""Renderers of one document."""
