"""The integer version of each stage: raised when its results change, and with it they rerun."""

STAGE_VERSIONS = {
    "screens": 4,
    "quality": 4,
    "embeddings": 1,
    "alignment": 3,
    "consistency": 3,
    "curation": 3,
    "training": 4,
    "probes": 1,
    "maps": 2,
    "matches": 1,
    "benchmarks": 2,
    "reports": 1,
}
