"""Where to put the SuperKernel scope, from one Ascend profiler capture."""

__version__ = "0.1.0"
