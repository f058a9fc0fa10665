"""`python -m phenoprints.cli` is the command `phenoprints`."""

import sys

from phenoprints.cli import main

sys.exit(main())
