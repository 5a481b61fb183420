"""Recording a good capture, from a program or with lines to paste."""
