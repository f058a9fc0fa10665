# Plain functions: input functions, which return path strings and read the plan, never a table; and
# the last words of a run.
import json
import os
import time
from glob import glob
from types import SimpleNamespace

from phenoprints import annotation
from phenoprints.foundations.jobs import first_error

# As they are while this is read: input functions run later, when the workflow may be a module of
# another one, whose own variables stand in the same place.
PATHVARS = workflow.pathvars
STARTED = time.time()


def one_of(names):
    """A wildcard constraint that admits these names and no other; names have no capitals."""
    return "|".join(name.replace(".", r"\.") for name in sorted(names)) or "NONE"


def encoders_of(pairs):
    """A wildcard constraint that admits the encoders of these pairs of screen and encoder."""
    return one_of({encoder for _, encoder in pairs})


def memory_mb(first):
    """A resource function: megabytes for the first attempt, half as much again after each failure.

    `first` is a number, or a function of the wildcards and the input.
    """
    if callable(first):
        return lambda wildcards, input, attempt: first(wildcards, input) * (attempt + 1) // 2
    return lambda wildcards, attempt: first * (attempt + 1) // 2


def of_pairs(path, pairs):
    """The paths of one kind of artefact, such as "<embeddings>", for pairs of screen and encoder."""
    pattern = PATHVARS.apply(path)
    return [pattern.format(screen=screen, encoder=encoder) for screen, encoder in pairs]


def of_names(path, wildcard, names):
    """The paths of one kind of artefact for the values of one wildcard."""
    pattern = PATHVARS.apply(path)
    return [pattern.format(**{wildcard: name}) for name in names]


def quality_batches_of(wildcards):
    """The tables of metrics of a screen's sites, one for each of its measuring jobs."""
    num_jobs = config["screens"][wildcards.screen]["quality"]["num_jobs"]
    pattern = PATHVARS.apply("<quality_metrics>")
    return [pattern.format(screen=wildcards.screen, batch=batch) for batch in range(num_jobs)]


def sayable(paths):
    """The paths of files that were found, where Snakemake does not read a wildcard in one."""
    odd = [path for path in paths if configuration.READ_BY_SNAKEMAKE.search(path)]
    if odd:
        raise WorkflowError(
            f"{odd[0]!r}: Snakemake reads {{ }} < > in the name of a file as its own.\n"
            "  To fix: rename the file, or name the others alone."
        )
    return paths


def tables_of(wildcards):
    """The tables that a screen is read from, as far as they are there, so that an edit reads again.

    What is absent is told by the job, in words that say what to do.
    """
    screen = config["screens"][wildcards.screen]
    named = [screen.get("wells"), *(join["table"] for join in screen.get("join", []))]
    named += [screen.get(key) for key in ("barcode_platemap", "metadata", "load_data")]
    listed = [[entry] if isinstance(entry, str) else entry or [] for entry in named]
    paths = [f"{screen['root']}/{pattern}" for patterns in listed for pattern in patterns]
    paths += [f"{path}/*.csv*" for path in paths if os.path.isdir(path)]
    found = {os.path.normpath(name) for path in paths for name in glob(path)}
    return sayable(sorted(name for name in found if os.path.isfile(name)))


def profiles_of(wildcards):
    """The tables of a precomputed encoder: its own below the screen's root, else the screen's."""
    screen = config["screens"][wildcards.screen]
    if screen["source"] == "planned":  # nothing of it is there yet
        return []
    profiles = config["encoders"][wildcards.encoder]["profiles"]
    if isinstance(profiles, dict):
        profiles = profiles.get(wildcards.screen)
    patterns = profiles or screen.get("wells") or []
    patterns = [patterns] if isinstance(patterns, str) else patterns
    paths = [f"{screen['root']}/{pattern}" for pattern in patterns]
    found = [name for path in paths for name in sorted(glob(path)) or [path]]
    return sayable([described(os.path.normpath(name)) for name in found])


def described(path):
    """The file that describes a Zarr folder, whose time tells of a change; any other path as it is."""
    files = [os.path.join(path, name) for name in ("zarr.json", ".zarray")]
    return next((file for file in files if os.path.isfile(file)), path)


def named_columns(wildcards):
    """A params function: the columns that name a screen's wells; simulated ones count theirs."""
    columns = config["screens"][wildcards.screen].get("columns", {})
    return columns if isinstance(columns, dict) else {}


def row_tables_of(wildcards):
    """The tables that name the wells of a precomputed encoder's arrays."""
    screen = config["screens"][wildcards.screen]
    named = config["encoders"][wildcards.encoder]["row_tables"]
    patterns = named.get(wildcards.screen, []) if isinstance(named, dict) else named
    patterns = [patterns] if isinstance(patterns, str) else patterns
    paths = [f"{screen['root']}/{pattern}" for pattern in patterns]
    found = [name for path in paths for name in sorted(glob(path)) or [path]]
    return sayable([os.path.normpath(name) for name in found])


ANNOTATION = {key: config["annotation"][key] for key in ("folder", "cache", "offline")}


def annotation_path(name):
    """The file of a table of known biology, as a list: empty where it cannot be had."""
    path = annotation.path_of(name, **ANNOTATION)
    return [path] if path else []


def loci_of(wildcards):
    """The table of gene loci: asked for by `true`, taken by `auto` where the folder has it."""
    wanted = config["screens"][wildcards.screen]["alignment"]["chromosome_arms"]
    if wanted is True:
        return annotation_path("gene-loci")
    if wanted == "auto" and ANNOTATION["folder"]:
        path = annotation.path_of("gene-loci", folder=ANNOTATION["folder"], offline=True)
        return [path] if path else []
    return []


def expression_of(wildcards):
    """The table of gene expression that the screen's alignment names."""
    path = config["screens"][wildcards.screen]["alignment"]["arm_expression"]
    return [path] if path else []


def wants_corum(settings):
    """Whether CORUM's complexes, which are for non-commercial use, were asked for."""
    is_source = "corum" in settings["relationships"]["sources"]
    source = settings["clusters"]["source"]
    return source == "corum" or (source == "auto" and is_source)


def known_biology(wildcards):
    """Name to path of the tables that the benchmarks of a screen use, as far as they can be had.

    A simulated screen, whose genes are invented, has its own tables beside it and needs no other.
    """
    settings = config["screens"][wildcards.screen]["benchmarks"]
    asked = set(config["evaluation"]["benchmarks"])
    truth = settings["compound_gene"]["truth"]
    given = {"compound-gene": truth} if truth and "compound-gene" in asked else {}
    if config["screens"][wildcards.screen]["source"] == "simulated":
        return given
    names = []
    if "relationships" in asked:
        names += [s for s in settings["relationships"]["sources"] if s in annotation.CATALOGUE]
    if asked & {"clusters", "enrichment"} and wants_corum(settings):
        names.append("corum-clusters")
    if "proximity-bias" in asked:
        names.append("gene-loci")
    if "compound-gene" in asked and not truth:
        names.append("compound-gene")
    found = {name: annotation.path_of(name, **ANNOTATION) for name in sorted(set(names))}
    if "relationships" in asked and "gene-loci" not in found:  # taken where it lies, not downloaded
        found["gene-loci"] = annotation.path_of("gene-loci", **{**ANNOTATION, "offline": True})
    return {name: path for name, path in {**found, **given}.items() if path}


def known_pairs_of(wildcards):
    """Tables of known pairs that a user gave, and the screen's own where it is simulated."""
    settings = config["screens"][wildcards.screen]["benchmarks"]["relationships"]
    return sorted(settings["files"].values())


def manifest_of(encoder):
    """The manifest that an encoder learned from, or an empty one."""
    name = encoder.removesuffix(".trimmed")
    return config["manifests"].get(config["encoders"][name].get("manifest"), {})


def has_learned_from(wildcards):
    """A params function: whether the encoder has learned from the screen's images."""
    return wildcards.screen in configuration.screens_seen(config, wildcards.encoder)


def of_manifest(path):
    """An input function: one path per screen of the manifest, in the order of its screens."""
    return lambda wildcards: of_names(
        path, "screen", config["manifests"][wildcards.manifest]["screens"]
    )


def tests_of_manifest(wildcards):
    """The consistency tables of a manifest: by judge, and for each judge by screen."""
    manifest = config["manifests"][wildcards.manifest]
    return of_pairs(
        "<consistency>",
        [(s, judge) for judge in manifest["judges"] for s in manifest["screens"]],
    )


def section_of_screens(name):
    """A params function: one section of every screen of the manifest."""
    return lambda wildcards: {
        screen: config["screens"][screen][name]
        for screen in sorted(config["manifests"][wildcards.manifest]["screens"])
    }


def geometry_of_screens(wildcards):
    """A params function: what every screen of the manifest declares about its images."""
    return {
        screen: {key: config["screens"][screen].get(key) for key in ("height_px", "width_px")}
        for screen in sorted(config["manifests"][wildcards.manifest]["screens"])
    }


def closing_words():
    """The path of the report and its counts of verdicts; nothing where no report was asked for."""
    verdicts = Path(PATHVARS.apply("<report_index>")).with_name("verdicts.json")
    if not verdicts.exists():
        return ""
    counts = json.loads(verdicts.read_text(encoding="utf-8"))["counts"]
    words = ("FAIL", "CHECK", "NOT RUN", "PASS")
    listed = ", ".join(f"{counts[word]} {word}" for word in words)
    return f"\n{PATHVARS.apply('<report_index>')}\n  {listed}\n"


def stopping_words():
    """The first error of a run that stopped, with its log, and how to read what there is."""
    log_folder = Path(PATHVARS.apply("<logs>"))
    words = "\nThe run stopped; what was done stays done."
    found = first_error(log_folder, STARTED)
    if found is None:
        words += f" Logs: {log_folder}\n"
    else:
        log, error = found
        job = log.relative_to(log_folder).with_suffix("")
        words += f" The first error, in {job}:\n\n{error}\n\n  The whole story: {log}\n"
    words += f"  What there is so far, as pages: phenoprints report {log_folder.parent}\n"
    return words + "  Once it is mended, the same command goes on from here.\n"


def label_of_page(wildcards):
    """What Snakemake's own report calls a page, or a table that is too long for its page."""
    if "table" in wildcards.keys():
        return {"table": wildcards.table}
    return {"page": PAGES.get(wildcards.page, wildcards.page.replace("-", " ").capitalize())}


def settings_of_encoder(name):
    """The configured settings of an encoder; those of a trimmed one are its origin's."""
    return config["encoders"][name.removesuffix(".trimmed")]


TOGETHER = configuration.looking_together(config, PLAN) if config["inference"]["share_image_reads"] else {}


def companions(wildcards):
    """The encoders that look at a screen in the same jobs as this one, itself among them."""
    pair = wildcards.screen, wildcards.encoder
    return TOGETHER.get(pair, (wildcards.encoder,))


def of_companions(wildcards, function):
    """Name to value of an input function for every encoder of a job."""
    pairs = {
        name: SimpleNamespace(screen=wildcards.screen, encoder=name)
        for name in companions(wildcards)
    }
    return {name: function(pair) for name, pair in pairs.items()}


def encoders_computed(*, jobs, blocks=None):
    """A wildcard constraint: networks of `one` or `many` jobs a screen, whose blocks are kept, not, or either."""
    names = {encoder for _, encoder in (*PLAN.block_pairs, *PLAN.computed_pairs)}
    shared = {encoder for (_, encoder), group in TOGETHER.items() if len(group) > 1}
    return one_of(
        name
        for name in names
        if blocks in (None, keeps_blocks(name))
        and (settings_of_encoder(name)["num_jobs"] > 1 or name in shared) == (jobs == "many")
    )


def batches_of(wildcards):
    """What the jobs of a pair write, one for each batch of its units; they bear the first encoder's name."""
    names = companions(wildcards)
    number = max(settings_of_encoder(name)["num_jobs"] for name in names)
    pattern = PATHVARS.apply("<embedding_batch>")
    place = {"screen": wildcards.screen, "encoder": names[0], "num_batches": number}
    return [pattern.format(batch=batch, **place) for batch in range(number)]


def plans_of(wildcards):
    """The plans of the encoders of a job."""
    return of_pairs(
        "<embedding_plan>", [(wildcards.screen, name) for name in companions(wildcards)]
    )


def encoders_of_job(wildcards):
    """The encoders of a job."""
    return of_names("<encoder>", "encoder", companions(wildcards))


def is_probed(encoder):
    """Whether the blocks of an encoder are probed."""
    return encoder in {name for _, name in PLAN.block_pairs}


def keeps_blocks(encoder):
    """Whether the features of every block of an encoder are kept."""
    return config["inference"]["keep_blocks"] or is_probed(encoder)


def stores_of(wildcards):
    """The provenance of what a pair computes: embeddings, and blocks and crops where kept."""
    pair = [(wildcards.screen, wildcards.encoder)]
    stores = {"embeddings": of_pairs("<embeddings>", pair)[0]}
    if keeps_blocks(wildcards.encoder):
        stores["blocks"] = of_pairs("<blocks>", pair)[0]
    if config["inference"]["keep_crops"]:
        stores["crops"] = of_pairs("<crops>", pair)[0]
    return stores


def tasks_of(wildcards):
    """The probe tasks that the blocks of a pair serve, by name; none where it is not probed."""
    tasks = config["probes"]["tasks"]
    if not is_probed(wildcards.encoder):
        return {}
    return {name: tasks[name] for name, screen in PLAN.task_screens if screen == wildcards.screen}


def embedding_settings(wildcards):
    """The settings that embeddings of a pair depend on."""
    encoder = settings_of_encoder(wildcards.encoder)
    screen = config["screens"][wildcards.screen]
    inference = ("batch_size", "precision", "stored_as", "unit_wells")
    kept = ("keep_blocks", "keep_crops", "max_kept_gb")
    geometry = ("crop_px", "exclude_border_crops", "overlap_px", "max_failed_fraction")
    return {
        **{name: config["inference"][name] for name in (*inference, *kept)},
        **{name: screen[name] for name in geometry},
        "resize": encoder["resize"],
        # A trimmed encoder ends where the probes say.
        "block": None if wildcards.encoder.endswith(".trimmed") else encoder["block"],
        "adapt_batch_norm": encoder["adapt_batch_norm"],
        "tasks": tasks_of(wildcards),
        "max_wells_per_class": config["probes"]["max_wells_per_class"],
    }


# Threads stand twice in a rule; Snakemake cuts `threads` to the cores of the machine that it was
# started on, also on a cluster, and `cpus_per_task` is what Slurm is asked for.


def quality_threads(wildcards):
    """Threads of a measuring job; one that has its workers on Slurm only waits for them."""
    return 1 if config["workers"]["cluster"] == "slurm" else 4


def inference_threads(wildcards):
    """Threads of an inference job: that of the network, and those that read."""
    return 1 + config["inference"]["num_workers"]


def num_gpus(wildcards):
    """GPUs of an inference job; `auto` takes one that is there but asks for none."""
    return int(config["inference"]["device"] == "cuda")


def training_of(wildcards):
    """The settings of training of an encoder."""
    return config["encoders"][wildcards.encoder]["training"]


def gpus_of(training):
    """GPUs that a training job asks for on all its nodes, where the device is cuda, else none."""
    return training["devices"] * training["nodes"] if training["device"] == "cuda" else 0


def memory_of_training(wildcards, input):
    """Megabytes of a training job, which follow from the wells that it learns from."""
    manifest = input.get("manifest")
    wells, sites = configuration.learned_counts(input.sites, manifest[0] if manifest else None)
    encoder = config["encoders"][wildcards.encoder]
    return configuration.training_memory_mb(encoder, num_wells=wells, num_sites=sites)


def threads_of(training):
    """Threads of a training job on each node: of every device one and those that read crops."""
    return training["devices"] * (1 + training["num_workers"])


def launcher_of(training):
    """What starts the processes of several nodes: with it the executor leaves srun to the job."""
    return "srun" if training["nodes"] > 1 else None


def learned_from(wildcards):
    """The inputs of a training job: a manifest with its screens, or one screen with its quality."""
    encoder = config["encoders"][wildcards.encoder]
    manifest = encoder.get("manifest")
    screens = config["manifests"][manifest]["screens"] if manifest else [encoder["screen"]]
    inputs = {
        "sites": of_names("<screen_sites>", "screen", screens),
        "images": of_names("<screen_images>", "screen", screens),
    }
    if manifest:
        inputs["manifest"] = of_names("<manifest>", "manifest", [manifest])
        inputs["conditions"] = of_names("<phenoprints>", "manifest", [manifest])
    else:
        for name, path in {
            "wells": "<screen_wells>",
            "conditions": "<screen_conditions>",
            "quality": "<quality>",
        }.items():
            inputs[name] = of_names(path, "screen", screens)
    if encoder.get("start_from"):
        inputs["start_from"] = of_names("<encoder>", "encoder", [encoder["start_from"]])
    return inputs


def made_from(wildcards):
    """The inputs of an encoder that is not trained: its weights, or screens whose channels it takes."""
    encoder = config["encoders"][wildcards.encoder]
    screens = sorted({s for s, name in PLAN.computed_pairs if name == wildcards.encoder})
    if encoder["kind"] == "openphenom":  # and the first screen, to show reconstructions of
        shown = {"wells": "<screen_wells>", "sites": "<screen_sites>", "images": "<screen_images>"}
        shown = {key: of_names(path, "screen", screens[:1]) for key, path in shown.items()}
        return {"weights": encoder["weights"], **shown}
    if encoder["kind"] != "untrained":
        return {"weights": encoder["weights"]} if encoder.get("weights") else {}
    if encoder["num_channels"]:
        return {}
    return {"sites": of_names("<screen_sites>", "screen", screens)}


def of_base(path, wildcards):
    """The path of an artefact of the encoder that a trimmed one comes from."""
    return of_names(path, "encoder", [wildcards.encoder.removesuffix(".trimmed")])


def of_task(path):
    """An input function: one path per screen of the task, in the order of its screens."""
    return lambda wildcards: of_names(
        path, "screen", config["probes"]["tasks"][wildcards.task]["screens"]
    )


def blocks_of_task(wildcards):
    """The features of every block on the screens of a task that the encoder can look at."""
    screens = config["probes"]["tasks"][wildcards.task]["screens"]
    return of_pairs("<blocks>", [(screen, wildcards.encoder) for screen in screens])


def accuracies_of(wildcards):
    """The accuracies of an encoder in all tasks that it is probed for."""
    pattern = PATHVARS.apply("<probe_accuracies>")
    return [
        pattern.format(task=task, encoder=wildcards.encoder)
        for task, encoder in probes_planned()
        if encoder == wildcards.encoder
    ]


def probes_planned():
    """Pairs (task, encoder) that are probed: the encoder looks at every screen of the task."""
    blocks = set(PLAN.block_pairs)
    return [
        (task, encoder)
        for encoder in PLAN.probed_encoders
        for task in PLAN.tasks
        if config["probes"]["tasks"][task]["screens"]
        and all(
            (screen, encoder) in blocks for screen in config["probes"]["tasks"][task]["screens"]
        )
    ]


def networks_evaluated():
    """The encoders with weights that are evaluated on any screen, sorted."""
    return sorted({e for _, e in PLAN.evaluated_pairs} & set(PLAN.networks))


def trimmed_by_probes():
    """The encoders whose trimmed forms are evaluated, sorted."""
    names = networks_evaluated()
    return [name.removesuffix(".trimmed") for name in names if name.endswith(".trimmed")]


def accuracies_of_evaluated():
    """The probe accuracies of the encoders that are evaluated, whole or trimmed."""
    pattern = PATHVARS.apply("<probe_accuracies>")
    bases = {name.removesuffix(".trimmed") for name in networks_evaluated()}
    return [
        pattern.format(task=task, encoder=encoder)
        for task, encoder in probes_planned()
        if encoder in bases
    ]
