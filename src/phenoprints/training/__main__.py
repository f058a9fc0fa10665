"""One process of a training job: `python -m phenoprints.training <job.json>`."""

import logging
import sys

from phenoprints.training.job import main

logging.basicConfig(level=logging.INFO, format="%(message)s")
main(sys.argv[1:])
