"""What a capture lacks for which answer, and how to record a better one."""
