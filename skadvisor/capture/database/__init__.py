"""Profiler databases: ascend_pytorch_profiler_<rank>.db and msprof_*.db."""
