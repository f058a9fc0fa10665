"""The workflow from tables to manifest and report, on a simulated screen shaped like RxRx3."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from registry import Timing, benchmark

if TYPE_CHECKING:
    from psutil import Process

ROOT = Path(__file__).resolve().parents[1]
NUM_GENE_EXPERIMENTS, NUM_COMPOUND_EXPERIMENTS = 176, 4
NUM_PLATES = 9
NUM_GENES, NUM_GUIDES = 194, 6  # of each pair of experiments; 17,072 genes in all
NUM_COMPOUNDS, DOSES = 1674, (0.0025, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0)
NUM_EMPTY, NUM_CONTROLS = 120, 76
NUM_TREATED = NUM_GENES * NUM_GUIDES
NUM_FEATURES = 128
EFFECT_SHARE = 5
"""Every so many-th gene and compound has an effect."""
JUDGES = ("one", "two")
CORES, MEMORY_MB = 2, 4000

CONFIGURATION = {
    "run": "shaped",
    "screens": {"shaped": {"source": "rxrx3", "root": "data", "images": None}},
    "encoders": {
        judge: {
            "kind": "precomputed",
            "screens": ["shaped"],
            "profiles": f"{judge}/*/*/embeddings.parquet",
            "features": ["feature_*"],
            "id_column": "well_id",
        }
        for judge in JUDGES
    },
    "manifests": {"phenoprints": {"screens": ["shaped"], "judges": list(JUDGES)}},
    "alignment": {"standardize_first": False},
}


def experiments() -> list[str]:
    """Names as in RxRx3: gene-001 to gene-176, compound-001 to compound-004."""
    numbers = {"gene": NUM_GENE_EXPERIMENTS, "compound": NUM_COMPOUND_EXPERIMENTS}
    return [f"{kind}-{i + 1:03}" for kind, count in numbers.items() for i in range(count)]


def addresses() -> np.ndarray:
    """The positions of a 1,536-well plate in use, A01 to AC16."""
    letters = [*"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "AA", "AB", "AC", "AD", "AE", "AF"]
    used = NUM_TREATED + NUM_EMPTY + NUM_CONTROLS
    return np.array([f"{letters[i // 48]}{i % 48 + 1:02}" for i in range(used)])


def treatments(number: int, plate: int) -> np.ndarray:
    """What is in the treated wells of a plate: a guide of a gene (from 0), or a dose (below 0)."""
    slot = np.arange(NUM_TREATED)
    if number < NUM_GENE_EXPERIMENTS:  # two experiments share the same genes
        return number // 2 * NUM_TREATED + slot
    first = ((number - NUM_GENE_EXPERIMENTS) * NUM_PLATES + plate) * NUM_TREATED
    return -1 - (first + slot) % (NUM_COMPOUNDS * len(DOSES))


def plate_table(number: int, plate: int) -> pd.DataFrame:
    """Rows of metadata_rxrx3.csv for one plate in a random order, and the `code` of each."""
    name, is_gene = experiments()[number], number < NUM_GENE_EXPERIMENTS
    code = treatments(number, plate)
    if is_gene:
        gene = np.char.add("GENE", np.char.zfill((code // NUM_GUIDES).astype(str), 5))
        guide = np.char.add("_guide_", (code % NUM_GUIDES + 1).astype(str))
        treatment, dose = np.char.add(gene, guide), np.full(len(code), np.nan)
    else:
        dose = np.array(DOSES)[(-1 - code) % len(DOSES)]
        treatment = np.char.add("RXRX-", ((-1 - code) // len(DOSES)).astype(str))
        gene = np.full(len(code), "")
    others = ["EMPTY_control"] * NUM_EMPTY + ["CRISPR_control"] * NUM_CONTROLS
    table = pd.DataFrame(
        {
            "gene": [*gene, *others],
            "treatment": [*treatment, *others],
            "SMILES": "" if is_gene else "C",
            "concentration": [*dose, *[np.nan] * len(others)],
            "perturbation_type": ["CRISPR" if is_gene else "COMPOUND"] * len(code)
            + ["CRISPR"] * len(others),
            "code": [*code, *[np.iinfo(np.int64).max] * len(others)],
        }
    )
    table = table.sample(frac=1, random_state=number * NUM_PLATES + plate, ignore_index=True)
    at = addresses()
    table.insert(0, "well_id", [f"{name}_{plate + 1}_{address}" for address in at])
    return table.assign(
        experiment_name=name, plate=plate + 1, address=at, cell_type="HUVEC",
    )  # fmt: skip


def effects(judge: str) -> np.ndarray:
    """A direction for every gene, then every compound; zero for most."""
    num_genes = NUM_GENE_EXPERIMENTS // 2 * NUM_GENES
    rng = np.random.default_rng(len(judge))
    found = rng.standard_normal((num_genes + NUM_COMPOUNDS + 1, NUM_FEATURES), dtype=np.float32)
    found[np.arange(len(found)) % EFFECT_SHARE > 0] = 0.0
    found[-1] = 0.0  # controls
    return found / 4


def effect_row(code: np.ndarray) -> np.ndarray:
    """The row of `effects` of each treatment code; controls have the last."""
    num_genes = NUM_GENE_EXPERIMENTS // 2 * NUM_GENES
    row = np.where(code >= 0, code // NUM_GUIDES, num_genes + (-1 - code) // len(DOSES))
    return np.where(code == np.iinfo(np.int64).max, -1, row)


def prepare(folder: Path) -> None:
    """Write the metadata, and for each judge a table of vectors per plate, as RxRx3 ships them."""
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    columns = [f"feature_{i}" for i in range(NUM_FEATURES)]
    directions = {judge: effects(judge) for judge in JUDGES}
    with (data / "metadata_rxrx3.csv").open("w", encoding="utf-8") as metadata:
        for number, name in enumerate(experiments()):
            rng = np.random.default_rng([7, number])
            batch = rng.standard_normal((len(JUDGES), NUM_FEATURES), dtype=np.float32)
            for plate in range(NUM_PLATES):
                table = plate_table(number, plate)
                is_first = number == plate == 0
                table.drop(columns="code").to_csv(metadata, header=is_first, index=False)
                row = effect_row(table["code"].to_numpy())
                for judge, offset in zip(JUDGES, batch, strict=True):
                    x = rng.standard_normal((len(table), NUM_FEATURES), dtype=np.float32)
                    x += directions[judge][row] + offset
                    vectors = pa.table([pa.array(table["well_id"]), *map(pa.array, x.T.copy())],
                                       ["well_id", *columns])  # fmt: skip
                    place = data / judge / name / f"Plate{plate + 1}"
                    place.mkdir(parents=True, exist_ok=True)
                    pq.write_table(vectors, place / "embeddings.parquet", use_dictionary=False,
                                   compression="NONE")  # fmt: skip


def held_gb(processes: Iterable[Process]) -> float:
    """The memory that processes hold together, in GB, everything that they share counted once.

    Pages of several processes are divided among them (PSS). A child that is about to become
    another program still borrows the whole memory of its parent, which PSS does not know: of
    processes with the same figures to the byte one is counted.
    """
    from psutil import Error

    held = set()
    for process in processes:
        with suppress(Error):  # it ended between the listing and the look
            held.add(process.memory_full_info())
    return sum(each.pss for each in held) / 1e9


class PeakMemory(Thread):
    """The most memory that a process and all it started held at one time, in GB; sampled."""

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self.process, self.peak, self.over = process, 0.0, Event()

    def run(self) -> None:
        """Look every tenth of a second, until `over` is set."""
        from psutil import NoSuchProcess, Process

        while not self.over.wait(0.1):
            with suppress(NoSuchProcess):
                whole = Process(self.process)
                self.peak = max(self.peak, held_gb([whole, *whole.children(recursive=True)]))


def curate(folder: Path) -> Timing:
    """Run the targets curate and report; seconds and memory of the whole tree of processes."""
    (folder / "config.json").write_text(json.dumps(CONFIGURATION))
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"),
               "--directory", str(folder), "--configfile", str(folder / "config.json"),
               "--cores", str(CORES), "--resources", f"mem_mb={MEMORY_MB}",
               "--quiet", "rules", "host",
               "--", "curate", "report"]  # fmt: skip
    before, start = os.times(), time.perf_counter()
    process = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, stdout=sys.stderr
    )
    memory = PeakMemory(process.pid)
    memory.start()
    code = process.wait()
    memory.over.set()
    memory.join()
    wall, after = time.perf_counter() - start, os.times()
    if code:
        raise SystemExit(f"the workflow ended with exit code {code}")
    cpu = sum(after[2:4]) - sum(before[2:4])
    return Timing(wall, note(folder / "results/shaped"), cpu, memory.peak)


def note(results: Path) -> str:
    """What came out, and the seconds and gigabytes of every job."""
    figures = json.loads((results / "reports/summary.json").read_text())["curation"]["phenoprints"]
    jobs = []
    for path in sorted((results / "durations").rglob("*.tsv")):
        times = pd.read_csv(path, sep="\t").iloc[0]
        jobs.append(f"{path.parent.name} {times['s']:.0f} s {times['max_rss'] / 1000:.1f} GB")
    counts = f"{figures['wells_kept']:,} wells, {figures['phenoprints']:,} conditions,"
    return f"({counts} {figures['genes_with_phenoprint']:,} genes; {', '.join(jobs)})"


@benchmark("curation-rxrx3-shaped", max_memory_gb=4.0, prepares=True)
def rxrx3_shaped(how: str, folder: Path) -> Timing | None:
    """2.2 million wells, 180 experiments, 128 features: from tables to manifest and report."""
    return prepare(folder) if how == "prepare" else curate(folder)
