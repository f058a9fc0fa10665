"""Recall of relationships, energy distance and compound-gene precision against their references."""

from __future__ import annotations

import gzip
import os
import warnings
from pathlib import Path

import efaar
import numpy as np
import pandas as pd
from registry import Stopwatch, Timing, benchmark, timed

NUM_GENES = 17_063
SOURCES = ("CORUM", "HuMAP", "Reactome", "SIGNOR", "StringDB")


def relationship_tables(folder: Path) -> Path:
    """EFAAR's tables, unpacked; from PHENOPRINTS_TEST_DATA, else from the package itself."""
    data = os.environ.get("PHENOPRINTS_TEST_DATA")
    if not data:
        from efaar_benchmarking.constants import BENCHMARK_DATA_DIR

        return Path(BENCHMARK_DATA_DIR)
    for path in (Path(data) / "annotation/efaar_relationships").glob("*.txt.gz"):
        (folder / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    return folder


def whole_genome_map(tables: Path) -> tuple[np.ndarray, list[str], pd.DataFrame]:
    """Random vectors under real gene names, and the real pairs."""
    from phenoprints.annotation.tables import read_pairs

    pairs = pd.concat(
        [read_pairs(tables / f"{source}.txt").assign(source=source) for source in SOURCES],
        ignore_index=True,
    )
    known = sorted(set(pairs["entity1"]) | set(pairs["entity2"]))[:NUM_GENES]
    names = known + [f"unknown-{k}" for k in range(NUM_GENES - len(known))]
    vectors = np.random.default_rng(0).standard_normal((NUM_GENES, 1024), dtype=np.float32)
    return vectors, names, pairs


@benchmark(
    "benchmarks-recall-17063-d1024",
    max_seconds=5,
    threads=2,
    max_memory_gb=1.2,
    min_ratios={"EFAAR 1.0": None},
)
def recall(how: str, folder: Path) -> Timing:
    """Recall of five sources on 17,063 genes of 1,024 features, two pairs of thresholds."""
    tables = relationship_tables(folder)
    vectors, names, pairs = whole_genome_map(tables)
    levels = [(0.05, 0.95), (0.1, 0.9)]
    if how == "ours":
        from phenoprints.benchmarks import relationship_recall

        relationship_recall(vectors[:600], names[:600], pairs, levels)  # compiles
        watch = Stopwatch()
        result = relationship_recall(vectors, names, pairs, levels)
        timing = watch.timing()
        result[result["tails"] == "both"].to_parquet(folder / "ours.parquet")
        return timing
    from sklearn.utils import Bunch

    reference = efaar.load("benchmarking")
    bunch = Bunch(features=pd.DataFrame(vectors), metadata=pd.DataFrame({"gene": names}))
    watch = Stopwatch()
    expected = reference.known_relationship_benchmark(
        bunch, "gene", recall_thr_pairs=levels, benchmark_data_dir=str(tables)
    ).set_index("source")
    timing = watch.timing()
    actual = pd.read_parquet(folder / "ours.parquet").set_index("source")
    digits = [
        actual.loc[actual["lower"] == lower, "recall"].to_dict()
        == expected[f"recall_{lower}_{upper}"].to_dict()
        for lower, upper in levels
    ]
    note = "(same digits)" if all(digits) else "(OTHER DIGITS)"
    return Timing(timing.seconds, note, timing.cpu_seconds)


@benchmark("benchmarks-energy-distance", max_seconds=0.2, threads=2, min_ratios={"EFAAR 1.0": None})
def magnitude(how: str, _folder: Path) -> Timing:
    """Energy distance of 2,000 perturbations of 10 wells from 1,000 controls, 384 features."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20_000, 384), dtype=np.float32)
    group = np.repeat(np.arange(2000), 10)
    controls = rng.standard_normal((1000, 384), dtype=np.float32)
    if how == "ours":
        from phenoprints.benchmarks import energy_distances

        return timed(lambda: energy_distances(x, group, controls))
    reference = efaar.load("benchmarking")
    watch = Stopwatch()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(0, 2000, 20):
            own = x[number * 10 : number * 10 + 10]
            reference.pert_signal_magnitude_metric(own, controls)
    part = watch.timing()
    return Timing(part.seconds * 20, "(one of 20 perturbations, scaled)", part.cpu_seconds)


@benchmark("benchmarks-compound-gene", max_seconds=1, min_ratios={"scikit-learn loop": None})
def compound_gene(how: str, _folder: Path) -> Timing:
    """Average precision of 510 compounds over 100 draws of negatives."""
    from phenoprints.benchmarks import compound_gene_precision

    rng = np.random.default_rng(0)
    genes, compounds = [f"g{k}" for k in range(400)], [f"c{k}" for k in range(510)]
    truth = pd.DataFrame(
        {
            "treatment": np.repeat(compounds, 4),
            "gene_symbol": rng.choice(genes, 4 * len(compounds)),
            "nM_value": rng.choice([10.0, 500, 5000], 4 * len(compounds)),
        }
    )
    score = pd.DataFrame(rng.random((len(compounds), len(genes))), compounds, genes)
    if how == "ours":
        return timed(lambda: compound_gene_precision({"max": score}, truth), repeats=2)
    from sklearn.metrics import average_precision_score

    watch = Stopwatch()
    labels = np.repeat([1, 0], [3, 20])
    for _ in range(510 * 100 // 20):
        average_precision_score(labels, rng.random(23))
    part = watch.timing()
    return Timing(part.seconds * 20, "(one of 20 draws, scaled; drawing left out)")


@benchmark("benchmarks-activity", min_ratios={"copairs": None})
def activity(how: str, _folder: Path) -> Timing:
    """Average precisions of 400 groups of 5 wells against 500 controls, 384 features, no null."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2000, 384))
    group, controls = np.repeat(np.arange(400), 5), rng.standard_normal((500, 384))
    if how == "ours":
        from phenoprints.benchmarks.activity import mean_average_precisions
        from phenoprints.maps.control_sets import compare

        wells = compare(x, group, controls)
        return timed(lambda: mean_average_precisions(wells))
    from copairs.map import average_precision

    meta = pd.DataFrame({"group": np.append(group, np.full(500, 999))})
    meta["is_control"] = meta["group"] == 999
    both = np.concatenate([x, controls])
    arguments = {"pos_sameby": ["group"], "pos_diffby": [], "neg_sameby": []}
    watch = Stopwatch()
    average_precision(meta, both, **arguments, neg_diffby=["is_control"], progress_bar=False)
    return watch.timing()


@benchmark("maps-consensus", min_ratios={"pycytominer": None})
def consensus(how: str, _folder: Path) -> Timing:
    """The medians of 5,000 perturbations of 10 wells, 384 features."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((50_000, 384), dtype=np.float32)
    group = rng.permutation(np.repeat(np.arange(5000), 10))
    if how == "ours":
        from phenoprints.maps import aggregate

        return timed(lambda: aggregate(x, group, 5000, how="median"))
    from pycytominer import consensus as peer

    names = [f"Cells_{k}" for k in range(384)]
    table = pd.DataFrame(x, columns=names).assign(Metadata_pert=group)
    watch = Stopwatch()
    peer(table, ["Metadata_pert"], operation="median", features=names)
    return watch.timing()
