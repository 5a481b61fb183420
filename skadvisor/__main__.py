"""`python -m skadvisor`."""

from skadvisor.cli import main

main()
