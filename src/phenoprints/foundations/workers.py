"""The work of one job spread over processes: of this machine, or in Slurm jobs, by dask."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from phenoprints.foundations.errors import Problem, UnsafeInputError, WorkerError, raise_problems

if TYPE_CHECKING:
    from distributed import Client, Future, SpecCluster
    from distributed.security import Security

SCRIPT_PATH = re.compile(r"[\w./+=@,:-]+")
"""Paths that may stand in a job script, where dask-jobqueue quotes nothing: no blank, no `$`."""
SCRIPT_WORD = re.compile(r"[\w.,:-]+")
SCRIPT_OPTION = re.compile(r"--[a-z-]+(=[\w.,:=+@&|!()\[\]-]+)?")

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 3
"""Items per worker that wait, are worked on or are done and not yet taken."""
LOOK_AFTER_S = 30.0
"""Seconds without a result between looks at whether any worker is left."""
NO_DASHBOARD = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
"""Of the scheduler: nobody looks at its pages, and other users should not."""


class Mapper(Protocol):
    """A function like `map`: results in the order of the items, wherever they were computed."""

    def __call__(
        self, function: Callable[[Item], Result], items: Iterable[Item], /
    ) -> Iterator[Result]:
        """Return the results of `function`, in the order of `items`."""


class WorkerSettings(Protocol):
    """Where workers run, as the section `workers` of the configuration has it."""

    @property
    def cluster(self) -> Literal["local", "slurm"]:
        """Processes of this job, or jobs that dask-jobqueue submits."""

    @property
    def num_jobs(self) -> int:
        """Jobs of Slurm."""

    @property
    def cores(self) -> int:
        """Processes of each job of Slurm."""

    @property
    def memory_mb(self) -> int:
        """Megabytes of each process in Slurm."""

    @property
    def runtime_min(self) -> int:
        """Minutes that a job of Slurm may take."""

    @property
    def partition(self) -> str | None:
        """Partition of Slurm's jobs."""

    @property
    def account(self) -> str | None:
        """Account of Slurm's jobs."""

    @property
    def interface(self) -> str | None:
        """Network interface that workers are reached over; None for the host's own."""

    @property
    def extra(self) -> tuple[str, ...]:
        """Further options of sbatch."""

    @property
    def folder(self) -> str:
        """Folder for the logs of Slurm's jobs; all nodes must see it."""


@contextmanager
def worker_pool(num_workers: int, settings: WorkerSettings | None = None) -> Iterator[Mapper]:
    """Start workers and give a function like `map` that spreads items over them.

    Parameters
    ----------
    num_workers
        Processes of `cluster: local`; 1 starts none and gives `map` itself. Slurm's workers are
        counted by the settings.
    settings
        Where the workers run; None for processes of this job.

    Each worker has one numerical thread and takes one item at a time; few items are under way, so
    that memory does not grow with their number. Functions and items are sent by pickle. Workers
    and this process speak TLS with a certificate made for them alone. The first error that an item
    raises is raised here.

    Raises
    ------
    WorkerError
        An item was lost with four workers, most likely for want of memory; or Slurm refused a job.
    UnsafeInputError
        A setting or a path could run something in the script of a Slurm job.
    """
    is_local = settings is None or settings.cluster == "local"
    if is_local and num_workers <= 1:
        yield map
        return
    from distributed import Client

    size = num_workers
    if settings is not None and not is_local:
        size = settings.num_jobs * settings.cores
    with (
        _alone(),
        _local(num_workers) if settings is None or is_local else _slurm(settings) as cluster,
        Client(cluster, security=cluster.security, set_as_default=False) as client,
    ):
        yield _Cluster(client, cluster, size)


@dataclass
class _Cluster:
    """Spreads items over a running cluster of `size` workers."""

    client: Client
    cluster: SpecCluster
    size: int
    has_worked: bool = False
    is_down: bool = False

    def __call__(
        self, function: Callable[[Item], Result], items: Iterable[Item], /
    ) -> Iterator[Result]:
        under_way: deque[Future] = deque()
        for item in items:
            under_way.append(self.client.submit(function, item, pure=False))
            if len(under_way) >= AHEAD * self.size:
                yield self._result(under_way.popleft())
        while under_way:
            yield self._result(under_way.popleft())

    def _result(self, future: Future) -> Any:
        from distributed import KilledWorker, wait

        while not future.done():
            try:
                with self.client.as_current():
                    wait([future], timeout=LOOK_AFTER_S)
            except TimeoutError:
                self._replace_lost()
        self.has_worked = True
        try:
            return future.result()
        except KilledWorker as error:
            raise WorkerError(
                "Workers were killed again and again over the same piece of work, most likely "
                "because they had too little memory. To fix: give the job more memory, or fewer "
                "threads."
            ) from error

    def _replace_lost(self) -> None:
        """Start all workers anew where all are gone; the rest of them does the work of some."""
        num_left = len(self.client.scheduler_info(n_workers=-1)["workers"])
        if num_left:
            return
        if self.has_worked:
            self.cluster.scale(0)  # takes effect until the next look
        elif self.is_down:
            self.cluster.scale(self.size)
        self.has_worked, self.is_down = False, self.has_worked


KEPT_MEMORY = {"MALLOC_TRIM_THRESHOLD_": 128 << 20, "MALLOC_MMAP_THRESHOLD_": 32 << 20}
"""Environment of a worker: bytes that it may keep for its next image. Dask has it give all but
64 KiB back after each array, with which measuring takes 1.7 times as long."""


@contextmanager
def _local(num_workers: int) -> Iterator[SpecCluster]:
    import dask
    from distributed import LocalCluster
    from distributed.security import Security

    environment = "distributed.nanny.pre-spawn-environ"
    # The scheduler of the machine limits memory; dask would pause and kill by its own guess.
    with (
        dask.config.set({f"{environment}.{key}": size for key, size in KEPT_MEMORY.items()}),
        LocalCluster(
            n_workers=num_workers,
            threads_per_worker=1,
            memory_limit=0,
            dashboard_address=NO_DASHBOARD["dashboard_address"],
            scheduler_kwargs=NO_DASHBOARD,
            security=Security.temporary(),
        ) as cluster,
    ):
        yield cluster


@contextmanager
def _slurm(settings: WorkerSettings) -> Iterator[SpecCluster]:
    from dask_jobqueue import SLURMCluster

    folder = Path(settings.folder).absolute()
    raise_problems(_unsafe_in_script(settings, folder), UnsafeInputError)
    folder.mkdir(parents=True, exist_ok=True)
    with (
        TemporaryDirectory(prefix="keys-", dir=folder) as keys,
        SLURMCluster(
            cores=settings.cores,
            processes=settings.cores,
            memory=f"{settings.memory_mb * settings.cores}MiB",
            walltime=str(settings.runtime_min),
            queue=settings.partition,
            account=settings.account,
            interface=settings.interface,
            job_extra_directives=list(settings.extra),
            job_script_prologue=[f"export {key}={value}" for key, value in KEPT_MEMORY.items()],
            job_name="phenoprints-worker",
            log_directory=str(folder),
            security=_security(Path(keys)),
            scheduler_options=NO_DASHBOARD,
        ) as cluster,
    ):
        _try(cluster.job_script())
        cluster.scale(jobs=settings.num_jobs)
        yield cluster


def _unsafe_in_script(settings: WorkerSettings, folder: Path) -> Iterator[Problem]:
    """Find characters that could run or split a command in the script dask-jobqueue writes."""
    names = ("partition", "account", "interface")
    words = {f"workers.{name}": getattr(settings, name) for name in names}
    options = {f"workers.extra[{i}]": option for i, option in enumerate(settings.extra)}
    paths = {"workers.folder": str(folder), "Python's path": sys.executable}
    fixes = {"workers.folder": "set another workers.folder, or start in another working directory",
             "Python's path": "install the environment in another place"}  # fmt: skip
    for expected, pattern, values in (
        ("letters, digits and _ . , : -", SCRIPT_WORD, words),
        ("--<name>=<value> without blanks, quotes and $", SCRIPT_OPTION, options),
        ("letters, digits and _ . / + = @ , : -", SCRIPT_PATH, paths),
    ):
        for where, value in values.items():
            if value is not None and not pattern.fullmatch(value):
                what = f"{value!r} cannot stand in the script of a Slurm job"
                yield Problem(where, what, expected, fixes.get(where, "correct the configuration"))


def _try(job_script: str) -> None:
    """Raise WorkerError with Slurm's words when it would not take the job; dask would wait."""
    try:
        subprocess.run(
            ["sbatch", "--test-only"], input=job_script, capture_output=True, text=True, check=True
        )
    except FileNotFoundError:
        raise WorkerError("workers.cluster is slurm, and there is no sbatch here.") from None
    except subprocess.CalledProcessError as error:
        raise WorkerError(f"Slurm takes no job of the workers: {error.stderr.strip()}") from None


def _security(folder: Path) -> Security:
    """TLS by a certificate in files that only this user can read, for jobs on other nodes."""
    from distributed.security import Security

    made = Security.temporary()
    paths = {name: folder / f"{name}.pem" for name in ("ca", "cert", "key")}
    contents = (made.tls_ca_file, made.tls_worker_cert, made.tls_worker_key)
    for path, content in zip(paths.values(), contents, strict=True):
        path.touch(mode=0o600)
        path.write_text(str(content), encoding="ascii")
    roles = {
        f"tls_{role}_{part}": str(paths[part])
        for role in ("client", "scheduler", "worker")
        for part in ("cert", "key")
    }
    return Security(require_encryption=True, tls_ca_file=str(paths["ca"]), **roles)


@contextmanager
def _alone() -> Iterator[None]:
    """Let processes start without this process's main module.

    A new process imports the main module of its parent. Scripts of a workflow have no guard, and
    would run again in every worker.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
