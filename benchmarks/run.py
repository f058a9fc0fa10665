"""Run benchmarks and write results/bench/summary.json: ours, peer, ratio, memory, goal, met.

    python -m benchmarks.run              # all
    python -m benchmarks.run consistency  # those whose name begins so
    python -m benchmarks.run --list

Every way of doing a task runs in its own process, whose peak memory is read when it ends. A module
that cannot be imported, or registers nothing, is an error that is told first and last.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "src"))

from registry import BENCHMARKS, Benchmark, Timing  # noqa: E402

SUMMARY = HERE.parent / "results" / "bench" / "summary.json"
NOT_BENCHMARKS = {
    "run", "registry", "bbbc021", "efaar", "few_controls", "gpu", "gpu_embeddings", "gpu_precision",
    "gpu_training",
}  # fmt: skip
"""Modules beside this one that register nothing: this, what it uses, and the benchmark of cards."""


def main() -> int:
    """Run what was asked for; 1 when a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prefixes", nargs="*", help="benchmarks whose names begin so")
    parser.add_argument("--list", action="store_true", help="show names and goals")
    parser.add_argument("--folder", help="where prepared data lie; by default a temporary folder")
    parser.add_argument(
        "--child", nargs=4, metavar=("MODULE", "NAME", "HOW", "FOLDER"), help=argparse.SUPPRESS
    )
    arguments = parser.parse_args()
    if arguments.child:
        return child(*arguments.child)
    problems = load_benchmarks()
    tell(problems)
    chosen = [b for name, b in sorted(BENCHMARKS.items()) if wanted(name, arguments.prefixes)]
    if arguments.list:
        print("\n".join(f"{b.name}: {b.what} Goal: {b.goal}." for b in chosen))
        return 1 if problems else 0
    results = []
    for each in chosen:
        with tempfile.TemporaryDirectory(prefix="phenoprints-bench-") as temporary:
            results.append(measure(each, arguments.folder or temporary))
        show(results[-1])
        write(results)
    tell(problems)
    return 0 if not problems and all(result["met"] for result in results) else 1


def load_benchmarks() -> list[str]:
    """Import every module beside this one; the problems of those that register nothing."""
    problems = []
    for path in sorted(HERE.glob("*.py")):
        if path.stem in NOT_BENCHMARKS:
            continue
        try:
            importlib.import_module(path.stem)
        except ImportError as error:
            problems.append(f"{path.name} is left out: {error}")
            continue
        if not any(each.run.__module__ == path.stem for each in BENCHMARKS.values()):
            problems.append(f"{path.name} registers no benchmark")
    return problems


def tell(problems: list[str]) -> None:
    for problem in problems:
        print(f"ERROR: {problem}", file=sys.stderr)


def wanted(name: str, prefixes: list[str]) -> bool:
    return not prefixes or any(name.startswith(prefix) for prefix in prefixes)


def child(module: str, name: str, how: str, folder: str) -> int:
    """Run one way in this process and print its seconds and its peak memory."""
    importlib.import_module(module)
    timing = BENCHMARKS[name].run(how, Path(folder))
    result = asdict(timing or Timing(0.0))
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(json.dumps({**result, "peak_memory_gb": round(result["peak_memory_gb"] or own, 3)}))
    return 0


def run_child(benchmark: Benchmark, how: str, folder: str) -> dict[str, Any]:
    threads = {f"{library}_NUM_THREADS": str(benchmark.threads)
               for library in ("OMP", "OPENBLAS", "MKL", "NUMBA")}  # fmt: skip
    names = [benchmark.run.__module__, benchmark.name, how, folder]
    done = subprocess.run(
        [sys.executable, __file__, "--child", *names],
        env={**os.environ, **threads}, stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        note = f"failed with exit code {done.returncode}"
        return {"seconds": None, "cpu_seconds": None, "note": note}
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def measure(benchmark: Benchmark, folder: str) -> dict[str, Any]:
    """Ours and every peer, and whether all goals are met."""
    if benchmark.prepares:
        run_child(benchmark, "prepare", folder)
    ours = run_child(benchmark, "ours", folder)
    peers = {peer: run_child(benchmark, peer, folder) for peer in benchmark.min_ratios}
    for result in peers.values():
        result["ratio"] = ratio(result, ours)
    first = next(iter(peers.values()), {})
    return {
        "name": benchmark.name,
        "what": benchmark.what,
        "ours": ours["seconds"],
        "ours_cpu": ours["cpu_seconds"],
        "peer": first.get("seconds"),
        "ratio": first.get("ratio"),
        "peers": peers,
        "peak_memory_gb": ours.get("peak_memory_gb"),
        "note": ours["note"],
        "goal": benchmark.goal,
        "met": is_met(benchmark, ours, peers),
    }


def ratio(peer: dict[str, Any], ours: dict[str, Any]) -> float | None:
    """Peer over ours, in processor time where both have it: neighbours disturb it less."""
    both = peer.get("cpu_seconds") and ours.get("cpu_seconds")
    clock = "cpu_seconds" if both else "seconds"
    return peer[clock] / ours[clock] if peer[clock] and ours[clock] else None


def is_met(benchmark: Benchmark, ours: dict[str, Any], peers: dict[str, Any]) -> bool:
    if ours["seconds"] is None:
        return False
    limits = [
        benchmark.max_seconds is None or ours["seconds"] <= benchmark.max_seconds,
        benchmark.max_memory_gb is None or ours["peak_memory_gb"] <= benchmark.max_memory_gb,
    ]
    ratios = [
        peers[peer]["ratio"] is not None and peers[peer]["ratio"] >= least
        for peer, least in benchmark.min_ratios.items()
        if least is not None
    ]
    return all(limits + ratios)


def show(result: dict[str, Any]) -> None:
    word = "met" if result["met"] else "MISSED"
    ours = "failed" if result["ours"] is None else f"{result['ours']:.4g} s"
    if result["ours_cpu"] is not None:
        ours += f" ({result['ours_cpu']:.4g} s of processors)"
    memory = "" if result["peak_memory_gb"] is None else f", {result['peak_memory_gb']:.2f} GB"
    print(f"{result['name']}: {ours}{memory}; goal {result['goal']}: {word}")
    for peer, timing in result["peers"].items():
        if timing["seconds"] is not None:
            print(
                f"  {peer}: {timing['seconds']:.4g} s, ratio {timing['ratio']:.4g} {timing['note']}"
            )
        else:
            print(f"  {peer}: {timing['note']}")


def write(results: list[dict[str, Any]]) -> None:
    """Write these results over those of the same names in the summary."""
    earlier = json.loads(SUMMARY.read_text())["benchmarks"] if SUMMARY.exists() else []
    by_name = {result["name"]: result for result in [*earlier, *results]}
    machine = {
        "processor": platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    content = {"machine": machine, "benchmarks": [by_name[name] for name in sorted(by_name)]}
    SUMMARY.parent.mkdir(parents=True, exist_ok=True)
    SUMMARY.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
