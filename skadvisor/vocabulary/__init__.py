"""What names and shapes say by themselves: operators and their roles, states of a decode step, SuperKernel names."""
