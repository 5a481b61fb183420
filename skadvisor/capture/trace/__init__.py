"""Timelines: trace_view.json and msprof_*.json."""
