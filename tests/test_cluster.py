"""Work for many ranks: in this process, in processes, on a real Dask cluster; workers die, people press Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from skadvisor.errors import InputError
from skadvisor.ranks import cluster

pytestmark = pytest.mark.slow

TESTS = Path(__file__).resolve().parent


def measure(source: str) -> int:
    """Length of a file; the tests' stand-in for an analysis."""
    return len(Path(source).read_text())


def where(source: str) -> int:
    return os.getpid()


def refuse(source: str) -> int:
    if source.endswith("3"):
        raise InputError(f"{source} is damaged", "Record it again.")
    return len(source)


def die_once(folder: str, source: str) -> str:
    """Kills its own process the first time that one source is worked on."""
    mark = Path(folder) / "died"
    if source == "2" and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return source * 2


def die_always(source: str) -> str:
    if source == "2":
        os.kill(os.getpid(), signal.SIGKILL)
    return source * 2


def slow(folder: str, source: str) -> str:
    with tempfile.TemporaryDirectory(prefix="copy-", dir=folder):
        (Path(folder) / f"started-{source}").write_text(str(os.getpid()))
        time.sleep(60)
    return source


def wait_for_go(folder: str, source: str) -> str:
    (Path(folder) / f"pid-{source}").write_text(str(os.getpid()))
    while not (Path(folder) / "go").exists():
        time.sleep(0.02)
    return source * 2


def files(folder: Path, count: int) -> list[str]:
    for number in range(count):
        (folder / str(number)).write_text("x" * number)
    return [str(folder / str(number)) for number in range(count)]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] == "Z")


def until(condition, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def dask_cluster():
    distributed = pytest.importorskip("distributed", reason="Dask is not installed (extra `cluster`)")
    made = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
    )
    yield made
    made.close()


# In this process and in processes


@pytest.mark.parametrize("workers", [1, 2])
def test_each_source_is_answered_once(tmp_path, workers):
    sources = files(tmp_path, 7)
    assert dict(cluster.spread(measure, sources, workers=workers)) == {source: n for n, source in enumerate(sources)}


def test_one_worker_is_this_process_and_two_are_not():
    assert {pid for _, pid in cluster.spread(where, ["a", "b"], workers=1)} == {os.getpid()}
    assert os.getpid() not in {pid for _, pid in cluster.spread(where, ["a", "b"], workers=2)}


@pytest.mark.parametrize("workers", [1, 2])
def test_an_unreadable_source_stops_no_other(workers):
    answers = dict(cluster.spread(refuse, ["1", "22", "3"], workers=workers))
    assert (answers["1"], answers["22"]) == (1, 2)
    assert isinstance(answers["3"], InputError)
    assert answers["3"].hint == "Record it again."


def test_a_killed_process_changes_nothing(tmp_path):
    answers = dict(cluster.spread(partial(die_once, str(tmp_path)), ["1", "2", "3", "4"], workers=2))
    assert (tmp_path / "died").exists()
    assert answers == {"1": "11", "2": "22", "3": "33", "4": "44"}


def test_work_that_kills_every_process_is_named_and_the_others_answer():
    answers = dict(cluster.spread(die_always, ["1", "2", "3"], workers=2))
    assert isinstance(answers.pop("2"), cluster.WorkerLostError)
    assert answers == {"1": "11", "3": "33"}


def test_a_caller_that_stops_early_leaves_no_process(tmp_path):
    sources = [str(number) for number in range(4)]
    running = cluster.spread(partial(first_fast, str(tmp_path)), sources, workers=2)
    next(running)
    until(lambda: len(list(tmp_path.glob("started-*"))) >= 1)
    running.close()
    pids = [int(file.read_text()) for file in tmp_path.glob("started-*")]
    until(lambda: not any(alive(pid) for pid in pids))


def first_fast(folder: str, source: str) -> str:
    return source if source == "0" else slow(folder, source)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_program_leaves_no_worker_and_no_temporary_file(tmp_path, number):
    script = (
        "import sys, functools\n"
        "from skadvisor.ranks import cluster\n"
        "from test_cluster import slow\n"
        "if __name__ == '__main__':\n"
        "    list(cluster.spread(functools.partial(slow, sys.argv[1]), ['1', '2', '3'], workers=2))\n"
    )
    (tmp_path / "run.py").write_text(script)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    program = subprocess.Popen(
        [sys.executable, str(tmp_path / "run.py"), str(tmp_path)], stderr=subprocess.PIPE, env=environment
    )
    until(lambda: len(list(tmp_path.glob("started-*"))) == 2)
    pids = [int(file.read_text()) for file in tmp_path.glob("started-*")]
    assert all(alive(pid) for pid in pids)
    assert len(list(tmp_path.glob("copy-*"))) == 2
    program.send_signal(number)
    program.communicate(timeout=30)
    assert program.returncode != 0
    until(lambda: not any(alive(pid) for pid in pids))
    assert list(tmp_path.glob("copy-*")) == []


def test_a_script_without_a_guard_works_and_runs_once(tmp_path):
    (tmp_path / "run.py").write_text(
        "import __main__\n"
        "print('begin', flush=True)\n"
        "from skadvisor.ranks import cluster\n"
        "from test_cluster import refuse\n"
        "print(sorted(dict(cluster.spread(refuse, ['1', '22'], workers=2)).items()))\n"
        "print(__main__.__file__.endswith('run.py'))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    command = [sys.executable, str(tmp_path / "run.py")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.splitlines() == ["begin", "[('1', 1), ('22', 2)]", "True"]


def test_no_processes_is_refused():
    with pytest.raises(InputError, match="0 processes"):
        list(cluster.spread(measure, ["a"], workers=0))


# On Dask


def test_dask_gives_the_same_answers_and_works_elsewhere(dask_cluster, tmp_path):
    sources = files(tmp_path, 5)
    address = dask_cluster.scheduler_address
    expected = dict(cluster.spread(measure, sources, workers=1))
    assert dict(cluster.spread(measure, sources, scheduler=address)) == expected
    assert os.getpid() not in {pid for _, pid in cluster.spread(where, sources, scheduler=address)}


def test_a_client_of_the_caller_stays_open(dask_cluster, tmp_path):
    from distributed import Client

    with Client(dask_cluster.scheduler_address, set_as_default=False) as client:
        assert len(list(cluster.spread(measure, files(tmp_path, 2), client=client))) == 2
        assert client.status == "running"


def test_an_unreadable_source_on_dask_stops_no_other(dask_cluster):
    answers = dict(cluster.spread(refuse, ["1", "22", "3"], scheduler=dask_cluster.scheduler_address))
    assert isinstance(answers.pop("3"), InputError)
    assert answers == {"1": 1, "22": 2}


def test_a_dask_worker_killed_in_mid_run_changes_nothing(dask_cluster, tmp_path):
    work = partial(wait_for_go, str(tmp_path))
    sources = ["1", "2", "3", "4"]
    running = cluster.spread(work, sources, scheduler=dask_cluster.scheduler_address)
    answers: dict[str, str] = {}
    thread = threading.Thread(target=lambda: answers.update(running))
    thread.start()
    until(lambda: len(list(tmp_path.glob("pid-*"))) >= 2)
    victim = int(next(iter(tmp_path.glob("pid-*"))).read_text())
    os.kill(victim, signal.SIGKILL)
    until(lambda: not alive(victim))
    (tmp_path / "go").touch()
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert answers == {source: source * 2 for source in sources}


def test_no_scheduler_at_the_address_is_an_input_error(monkeypatch):
    distributed = pytest.importorskip("distributed")
    real = distributed.Client
    monkeypatch.setattr(distributed, "Client", lambda *args, **kwargs: real(*args, **{**kwargs, "timeout": 1}))
    with pytest.raises(InputError, match="no Dask scheduler answers"):
        list(cluster.spread(measure, ["a"], scheduler="tcp://127.0.0.1:1"))


def test_a_scheduler_without_workers_is_an_input_error():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=0, processes=True, host="127.0.0.1", dashboard_address=None) as empty,
        pytest.raises(InputError, match="has no workers"),
    ):
        list(cluster.spread(measure, ["a"], scheduler=empty.scheduler_address))


def test_without_dask_the_extra_is_named(monkeypatch):
    def import_module(name: str):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(cluster, "import_module", import_module)
    with pytest.raises(InputError) as caught:
        list(cluster.spread(measure, ["a"], scheduler="tcp://127.0.0.1:8786"))
    assert "skadvisor[cluster]" in caught.value.hint
