"""The program `skadvisor`, also as `python -m skadvisor`."""

import atexit
import gc
import os

# A command is a short life with many lasting objects, which need no search for circles every few hundred.
gc.set_threshold(100_000, 20, 20)
# Nor does what is left need a last search when the process ends and gives all of it back.
atexit.register(gc.freeze)
# Our matrices are small: more threads for them would only wait for each other. NumPy reads this when it is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from skadvisor.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
