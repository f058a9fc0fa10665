"""Audit the locked dependencies: what is installed is what is locked, and no advisory names it.

Exit codes: 0 nothing was found, 1 something was, 2 the advisories could not be asked.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

LOCK = Path(__file__).with_name("lock.txt")


def normal(name: str) -> str:
    """Normalise a project name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(text: str) -> dict[str, str]:
    """Version by project of a lock file."""
    pairs = (line.split("==", 1) for line in text.splitlines() if "==" in line)
    return {normal(name): version for name, version in pairs}


def installed() -> dict[str, str]:
    """Version by project of this environment."""
    return {normal(each.name): each.version for each in metadata.distributions()}


def differences(lock: dict[str, str], found: dict[str, str]) -> list[str]:
    """List locked projects that are installed in another version."""
    return [
        f"{name}: locked {version}, installed {found[name]}"
        for name, version in sorted(lock.items())
        if name in found and found[name] != version
    ]


STRONG = re.compile(
    r"(?<![L])A?GPL|GNU (Affero )?General Public|SSPL|BUSL|non-?commercial", re.IGNORECASE
)
"""Licences whose terms would bind what is built on the library."""

REVIEWED = {"docutils"}
"""Projects with a part under such a licence that nobody imports (an Emacs mode of docutils)."""


def licence(project: str) -> str:
    """Return the licence that an installed project states: its expression, classifiers or text."""
    found = metadata.metadata(project)
    classified = [
        line.rpartition("::")[2].strip()
        for line in found.get_all("Classifier") or []
        if line.startswith("License ::")
    ]
    stated = found.get("License-Expression") or "; ".join(classified) or found.get("License") or ""
    return stated.strip().splitlines()[0][:80] if stated.strip() else ""


def licences(lock: dict[str, str], found: dict[str, str]) -> dict[str, str]:
    """Return the licence of every locked project that is installed; "" where none is stated."""
    return {name: licence(name) for name in sorted(lock) if name in found}


def incompatible(stated: dict[str, str]) -> list[str]:
    """List projects whose licence does not go with a permissive one; a choice (OR) goes."""
    return [
        f"{name}: licence {text}"
        for name, text in stated.items()
        if STRONG.search(text) and " OR " not in text and name not in REVIEWED
    ]


def vulnerabilities(answer: str) -> tuple[list[str], int]:
    """List the vulnerabilities in pip-audit's JSON, and count how many projects it could judge."""
    dependencies = json.loads(answer)["dependencies"]
    judged = [each for each in dependencies if "vulns" in each]
    lines = [
        f"{each['name']} {each['version']}: {found['id']}, "
        f"fixed in {', '.join(found['fix_versions']) or 'no version'}"
        for each in judged
        for found in each["vulns"]
    ]
    return lines, len(judged)


def ask() -> tuple[list[str], int]:
    """Run pip-audit; judge nothing if its advisories are unreachable."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(LOCK), "--no-deps"]
    command += ["--disable-pip", "--progress-spinner", "off", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return vulnerabilities(done.stdout)
    except (ValueError, KeyError):
        return [], 0


def main() -> int:
    """Print what was found and what could not be judged."""
    lock = locked(LOCK.read_text())
    unlike, (known, judged) = differences(lock, installed()), ask()
    stated = licences(lock, installed())
    (LOCK.parent / "licences.tsv").write_text(
        "".join(f"{name}\t{lock[name]}\t{text or 'not stated'}\n" for name, text in stated.items())
    )
    bound = incompatible(stated)
    for line in [*unlike, *known, *bound]:
        sys.stdout.write(f"FAIL  {line}\n")
    sys.stdout.write(
        f"{len(lock)} locked projects: {len(unlike)} installed in another version, "
        f"{judged} judged by advisories, {len(known)} vulnerabilities; "
        f"{len(stated)} licences in envs/licences.tsv, {len(bound)} incompatible\n"
    )
    if unlike or known or bound:
        return 1
    if not judged:
        sys.stdout.write("NOT RUN  the advisories could not be asked; try again with a network\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
