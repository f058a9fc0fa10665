# Paths, inputs, params and resources of all rules. The templates of paths are in
# phenoprints.configuration.layout, the functions in phenoprints.configuration.inputs.
import time

from phenoprints import annotation
from phenoprints.configuration.inputs import Inputs, encoders_of, label_of_page, one_of
from phenoprints.configuration.job_params import JobParams
from phenoprints.configuration.layout import REPORT_PAGES
from phenoprints.configuration.layout import pathvars as path_variables
from phenoprints.configuration.resources import JobResources, memory_mb
from phenoprints.configuration.run_messages import failure_message, success_message


pathvars:
    **path_variables(config["run"]),


# Bound here: the functions run later, when the workflow may be a module of another one, whose own
# variables have the same names.
INPUTS = Inputs(config, expand=workflow.pathvars.apply)
PARAMS = JobParams(config, INPUTS)
RESOURCES = JobResources(config)
STARTED = time.time()
