# Input functions: plain functions that return path strings. They read the plan, never a table.
from glob import glob


def one_of(names):
    """A wildcard constraint that admits these names and no other; names have no capitals."""
    return "|".join(name.replace(".", r"\.") for name in sorted(names)) or "NONE"


def encoders_of(pairs):
    """A wildcard constraint that admits the encoders of these pairs of screen and encoder."""
    return one_of({encoder for _, encoder in pairs})


def of_pairs(path, pairs):
    """The paths of one kind of artefact, such as "<embeddings>", for pairs of screen and encoder."""
    pattern = workflow.pathvars.apply(path)
    return [pattern.format(screen=screen, encoder=encoder) for screen, encoder in pairs]


def of_names(path, wildcard, names):
    """The paths of one kind of artefact for the values of one wildcard."""
    pattern = workflow.pathvars.apply(path)
    return [pattern.format(**{wildcard: name}) for name in names]


def profiles_of(wildcards):
    """The tables of a precomputed encoder: its own below the screen's root, else the screen's."""
    screen = config["screens"][wildcards.screen]
    profiles = config["encoders"][wildcards.encoder]["profiles"]
    if isinstance(profiles, dict):
        profiles = profiles.get(wildcards.screen)
    patterns = profiles or screen.get("wells") or []
    patterns = [patterns] if isinstance(patterns, str) else patterns
    paths = [f"{screen['root']}/{pattern}" for pattern in patterns]
    return [found for path in paths for found in sorted(glob(path)) or [path]]
