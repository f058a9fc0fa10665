# The configuration is read and checked once, by the main process. Jobs read the frozen copy of the
# run, so that an edit in mid-run changes nothing.
import sys
from os import environ, pathsep
from pathlib import Path

SOURCE = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parents[1] / "src"
if SOURCE.is_dir() and str(SOURCE) not in sys.path:
    sys.path.insert(0, str(SOURCE))
    environ["PYTHONPATH"] = pathsep.join(filter(None, [str(SOURCE), environ.get("PYTHONPATH")]))

from phenoprints import configuration, freshness
from phenoprints.foundations import locks
from phenoprints.foundations.errors import PhenoprintsError
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

if "screens" not in config:

    configfile: "config/config.yaml"


FROZEN = Path("results") / str(config.get("run", "")) / "config.json"

try:
    if workflow.is_main_process:
        resolved = configuration.load(config, files=workflow.configfiles, warn=logger.warning)
    else:
        resolved = configuration.thaw(FROZEN)
except PhenoprintsError as error:
    raise WorkflowError(str(error)) from None
config.clear()
config.update(resolved)
if workflow.is_main_process:
    locks.forget_dead_locks(config["run"])
    try:
        freshness.check_run(FROZEN.parent, config, warn=logger.warning)
    except (PhenoprintsError, OSError) as error:
        raise WorkflowError(str(error)) from None


onstart:
    try:
        locks.lock_run(config["run"])
        configuration.write_frozen(FROZEN, config)
    except PhenoprintsError as error:
        raise WorkflowError(str(error)) from None
