# Path variables of all rules; the templates are in phenoprints.configuration.layout.
from phenoprints.configuration.layout import pathvars as path_variables


pathvars:
    **path_variables(config["run"]),
