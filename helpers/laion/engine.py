"""Where the jobs run: in this process, in several of this machine, or on Dask. The jobs do not know.

A job is a function of a module and an argument that can be pickled. It writes its result to a file and renames it last,
so a job that ran twice, or was killed and runs again, does no harm.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

ENGINES = ("processes", "dask", "here")


class _Here(Executor):
    """Runs each job at once, in this process."""

    def submit(self, function: Callable, /, *args: Any, **options: Any) -> Future:
        future: Future = Future()
        try:
            future.set_result(function(*args, **options))
        except Exception as error:
            future.set_exception(error)
        return future


def _end_with_parent() -> None:
    # A parent that is killed says nothing: its workers would wait for work for ever.
    os.environ["OMP_NUM_THREADS"] = "1"
    parent = parent_process()
    if parent is not None:

        def watch() -> None:
            wait([parent.sentinel])
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


@contextmanager
def engine(name: str, workers: int, scratch: Path) -> Iterator[Executor]:
    """An executor with `workers` workers. `scratch`: a folder for what Dask writes while it runs.

    Raises ValueError for a name that is not one of ENGINES.
    """
    if name not in ENGINES:
        raise ValueError(f"engine: {name!r} is not one of {', '.join(ENGINES)}")
    if name == "here":
        yield _Here()
    elif name == "processes":
        pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_end_with_parent)
        try:
            yield pool
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    else:
        import dask
        from distributed import Client, LocalCluster

        options = {"threads_per_worker": 1, "memory_limit": 0, "dashboard_address": None, "processes": True}
        with (
            dask.config.set({"distributed.worker.daemon": True}),
            LocalCluster(
                n_workers=workers, host="127.0.0.1", local_directory=str(scratch), silence_logs=50, **options
            ) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            yield client.get_executor(pure=False)


def run_jobs(
    executor: Executor, function: Callable[[Any], Any], jobs: Sequence[Any], done: Callable[[Any], None]
) -> list[Any]:
    """The results of `function` for all jobs, in their order; `done` is called with each as it comes.

    Raises what a job raised, RuntimeError with the remedy if a worker process died.
    """
    futures = [executor.submit(function, job) for job in jobs]
    try:
        for future in as_completed(futures):
            done(future.result())
    except BrokenProcessPool:
        raise RuntimeError(
            "a worker process was killed, perhaps for want of memory: start again, and what is done is kept"
        ) from None
    except BaseException:
        for future in futures:
            future.cancel()
        raise
    return [future.result() for future in futures]
