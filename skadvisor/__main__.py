"""The program `skadvisor`, also as `python -m skadvisor`."""

import gc

# A command is a short life with many lasting objects, which need no search for circles every few hundred.
gc.set_threshold(100_000, 20, 20)

from skadvisor.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
