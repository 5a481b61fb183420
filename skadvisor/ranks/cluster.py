"""Do one piece of work for each of many ranks: here, in processes of this machine, or on a Dask cluster.

Each piece is handed to a worker by its source (a path, a URL) and is read there; only what the work returns
travels back. Results come in the order in which they are done.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from multiprocessing import get_context, parent_process
from typing import Any, TypeVar

from skadvisor.errors import InputError
from skadvisor.text.messages import _

Source = TypeVar("Source", bound=Hashable)
Answer = TypeVar("Answer")
Work = Callable[[Source], Answer]
#: A source with its answer, or with the exception that stopped it.
Done = tuple[Source, Answer | Exception]


class WorkerLostError(InputError):
    """The process that did a piece of work was killed, most often by the system for want of memory."""

    def __init__(self, message: str = "", hint: str = "") -> None:
        super().__init__(
            message or "the process that read it was killed, perhaps for want of memory",
            hint or "Use fewer workers at a time, or a machine with more memory.",
        )


def spread(
    work: Work[Source, Answer],
    sources: Sequence[Source],
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    client: Any = None,
) -> Iterator[Done[Source, Answer]]:
    """Do `work(source)` for each source and yield (source, answer or exception) as they end.

    `workers` processes on this machine (default: one per core, never more than sources; 1 works in this process), or
    a Dask cluster by the `scheduler` address or a `client`. An exception of one source does not stop the others.
    When the caller stops early, or is interrupted, what is under way is cancelled and no process stays behind.
    `work` has to be importable by name on the workers (`functools.partial` of such a function is fine).
    """
    if workers is not None and workers < 1:
        raise InputError(_("cannot work with {workers} processes"), _("Give at least 1."), workers=workers)
    if scheduler is not None or client is not None:
        with connect(scheduler, client) as connected:
            yield from _on_dask(work, sources, connected)
        return
    count = min(workers or available_cores(), len(sources))
    if count <= 1:
        for source in sources:
            yield source, _attempt(work, source)
    else:
        yield from _in_processes(work, sources, count)


def available_cores() -> int:
    """Cores that this process may use."""
    with suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def connect(scheduler: str | None, client: Any = None) -> Iterator[Any]:
    """A Dask client for the scheduler's address, closed afterwards; a client that is passed in stays open.

    Raises InputError where Dask is not installed (extra `cluster`) or nothing answers at the address.
    """
    if client is not None:
        yield client
        return
    try:
        distributed = import_module("distributed")
    except ModuleNotFoundError as error:
        raise InputError(
            _("a scheduler needs Dask, which is not installed"), _("pip install 'skadvisor[cluster]'")
        ) from error
    try:
        connected = distributed.Client(scheduler, timeout=10, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(
            _("no Dask scheduler answers at {scheduler}: {error}"),
            _("Start one with: dask scheduler --port 8786"),
            scheduler=scheduler,
            error=error,
        ) from error
    try:
        if not connected.scheduler_info()["workers"]:
            raise InputError(
                _("the scheduler at {scheduler} has no workers"),
                _("Start some: dask worker {scheduler}"),
                scheduler=scheduler,
            )
        yield connected
    finally:
        connected.close()


def _attempt(work: Work[Source, Answer], source: Source) -> Answer | Exception:
    try:
        return work(source)
    except Exception as error:
        return error


def _in_processes(work: Work[Source, Answer], sources: Sequence[Source], count: int) -> Iterator[Done[Source, Answer]]:
    """Two rounds: what was under way when a worker died is done again, one by one, so that only the culprit fails."""
    lost: list[Source] = []
    for source, answer in _one_pool(work, sources, count):
        if isinstance(answer, WorkerLostError):
            lost.append(source)
        else:
            yield source, answer
    for source in lost:
        yield from _one_pool(work, [source], 1)


def _one_pool(work: Work[Source, Answer], sources: Sequence[Source], count: int) -> Iterator[Done[Source, Answer]]:
    # spawn: a forked copy of a process with threads (bars, BLAS, a notebook) can hang.
    pool = ProcessPoolExecutor(
        count, mp_context=get_context("spawn"), initializer=_prepare_worker, initargs=(gc.get_threshold(),)
    )
    futures: dict[Future[Any], Source] = {}
    try:
        lost = []
        with _script_hidden():
            for source in sources:
                try:
                    futures[pool.submit(partial(_in_worker, work), source)] = source
                except BrokenProcessPool:
                    lost.append(source)
        for source in lost:
            yield source, WorkerLostError()
        for future in as_completed(futures):
            source = futures.pop(future)
            try:
                yield source, future.result()
            except BrokenProcessPool:
                yield source, WorkerLostError()
    finally:
        _close(pool, idle=not futures)


@contextmanager
def _script_hidden() -> Iterator[None]:
    """Keep new processes from running the user's script again.

    They do so to find functions that it defines, which ours are not; and a script that calls this library outside
    `if __name__ == "__main__"` would then start processes without end.
    """
    main: Any = sys.modules["__main__"]
    hidden = {name: getattr(main, name) for name in ("__file__", "__spec__") if hasattr(main, name)}
    main.__spec__ = None
    if "__file__" in hidden:
        del main.__file__
    try:
        yield
    finally:
        for name, value in hidden.items():
            setattr(main, name, value)


def _in_worker(work: Work[Source, Answer], source: Source) -> Answer | Exception:
    try:
        return _attempt(work, source)
    except SystemExit:  # from the signal below; the pool would take it for an answer and go on
        os._exit(1)


def _close(pool: ProcessPoolExecutor, *, idle: bool) -> None:
    """Let go of a pool at once: work that nobody waits for any more is stopped, not finished.

    Idle workers have nothing to clean up, so they need not take their Python down in good order.
    """
    processes = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill() if idle else process.terminate()
    for process in processes:
        process.join(timeout=10)
        if process.is_alive():
            process.kill()
            process.join()


def _prepare_worker(collected: tuple[int, int, int]) -> None:
    """Make a worker end with its parent, in good order, keep to one core and look for circles as often as it."""
    gc.set_threshold(*collected)
    # Ctrl-C reaches every process of a terminal: the parent alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Unlike the default action, SystemExit lets `with` blocks remove their temporary files.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _on_dask(work: Work[Source, Answer], sources: Sequence[Source], client: Any) -> Iterator[Done[Source, Answer]]:
    distributed = import_module("distributed")
    # Dask moves the work of a killed worker to the others by itself; impure, so that a later run reads files anew.
    futures = {client.submit(_attempt, work, source, pure=False): source for source in sources}
    try:
        for future in distributed.as_completed(list(futures), loop=client.loop):
            source = futures[future]
            error = future.exception() if future.status == "error" else None
            if error is not None:
                yield source, WorkerLostError(f"the workers that read it were lost: {error}")
            else:
                yield source, future.result()
            future.release()
    finally:
        client.cancel(list(futures))
