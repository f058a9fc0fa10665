"""One tree of errors, and one form for telling a user about problems in his input."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from phenoprints.foundations.printable import escaped

MAX_SHOWN = 20
"""Problems printed in one message; the rest are counted."""


class PhenoprintsError(Exception):
    """Base of every error that Phenoprints raises on purpose.

    `problems` holds every problem of the input, also those that the message only counts.
    """

    problems: tuple[Problem, ...] = ()

    def __str__(self) -> str:
        """Return the message; names from data cannot steer a terminal with it."""
        return escaped(super().__str__())


class ConfigurationError(PhenoprintsError, ValueError):
    """The configuration cannot be run as it stands."""


class MissingInputError(PhenoprintsError, FileNotFoundError):
    """A file or folder that the configuration names is not there."""


class TableError(PhenoprintsError, ValueError):
    """A table breaks its contract."""


class DataError(PhenoprintsError, ValueError):
    """Numbers that cannot be worked with: shapes, ranges, NaN, too few controls."""


class ImageError(PhenoprintsError, ValueError):
    """An image cannot be read or is not what its screen declares."""


class UnsafeInputError(PhenoprintsError, ValueError):
    """Input that would leave its root, run code or exhaust the machine."""


class CorruptionError(PhenoprintsError, OSError):
    """A stored artefact is not what was written."""


class StorageError(PhenoprintsError, OSError):
    """Results cannot be written: no space, no permission, a limit of the system."""


class RemoteError(PhenoprintsError, OSError):
    """A server that files are read from cannot be reached, or refuses."""


class WorkerError(PhenoprintsError, RuntimeError):
    """Processes that share a job's work could not be started or were killed."""


class MissingDependencyError(PhenoprintsError, ImportError):
    """An optional library is needed and absent."""


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong: where it stands, what it is, what was expected, what to do.

    `where` names file, line, row or key; `what` quotes the value that was got.
    """

    where: str
    what: str
    expected: str = ""
    fix: str = ""

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.what}"]
        if self.expected:
            lines.append(f"  Expected {self.expected}.")
        if self.fix:
            lines.append(f"  To fix: {self.fix}.")
        return "\n".join(lines)


def describe(problems: Sequence[Problem], *, shown: int = MAX_SHOWN) -> str:
    """One message for all problems of one input, at most `shown` of them in full."""
    parts = [str(problem) for problem in problems[:shown]]
    if len(problems) > shown:
        parts.append(f"… and {len(problems) - shown} more problems of {len(problems)} in all.")
    return "\n".join(parts)


def raise_problems(problems: Iterable[Problem], error: type[PhenoprintsError] = TableError) -> None:
    """Raise `error` with every problem in one message; return quietly when there is none."""
    found = list(problems)
    if found:
        raised = error(describe(found))
        raised.problems = tuple(found)
        raise raised
