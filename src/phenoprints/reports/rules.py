"""Every rule that a report judges by: its question, why it matters, and what good looks like."""

from __future__ import annotations

from phenoprints.reports.verdicts import Rule

_RAN = "What is not there was not judged; a page that says nothing of it would look complete."
_RUN_AGAIN = "Read the log of the failed job, run Snakemake again, then the report."
_CONFIGURED = "the configuration: everything it asks for"


def _ran(code: str, what: str) -> Rule:
    good = "every table that was asked for is there."
    return Rule(code, f"{what} ran", _RAN, good, _CONFIGURED, _RUN_AGAIN)


SCREENS_RAN = _ran("SC100", "Reading screens")
UNKNOWN_CONDITIONS = Rule(
    "SC101",
    "Wells of unknown perturbation",
    "Such wells leave the funnel at step 2; many of them point to a wrong column or join.",
    "a few per cent at most.",
    "10 % of the wells, a choice of this report",
    "Compare the columns and joins of the screen with its metadata.",
)
FEW_CONTROLS = Rule(
    "SC102",
    "Control wells per experiment",
    "Alignment estimates a mean and a covariance from each experiment's controls alone.",
    "16 or more in every experiment.",
    "the warning and error limits of the alignment's settings",
    "Leave out such experiments, or align with alignment.small_batches: skip.",
)
QUALITY_RAN = _ran("QC900", "Quality control")
FAILED_WELLS = Rule(
    "QC901",
    "Wells that fail quality control",
    "Failed wells are left out of alignment, tests and maps; very many of them question the "
    "screen or the thresholds.",
    "a few per cent.",
    "20 % of the wells, a choice of this report",
    "Look at the worst plates, then at the bounds of the rules that fail most.",
)
FAILED_CONTROLS = Rule(
    "QC902",
    "Controls that fail quality control",
    "When controls fail more often than treatments, thresholds or plates are wrong; the reverse "
    "may be biology: toxic treatments kill cells.",
    "controls fail no more often than treatments.",
    "twice the share among treatments, and at least 5 %, a choice of this report",
    "Look at the plates of the failing controls before trusting the alignment.",
)
UNEVEN_QUALITY = Rule(
    "QC903",
    "Quality over experiments",
    "One experiment with many failed wells has a cause of its own: focus, stain, a plate.",
    "failures are spread evenly.",
    "three times the median share of the experiments, and at least 10 %, a choice of this report",
    "Look at that experiment alone: leave it out, or image it again.",
)
PLATE_CHECKS = Rule(
    "QC904",
    "Plates as a whole",
    "Too few or unlike controls, edge effects and turned plate maps spoil all wells of a plate.",
    "no plate fails a check.",
    "the settings of quality control",
    "Look at these plates; quality.plate_rules_that_fail makes their wells fail.",
)
PLANTED_BAD_WELLS = Rule(
    "QC905",
    "Planted bad wells",
    "The simulated screen knows which wells are dead, blurred, saturated, empty or full of debris.",
    "98 % or more found, at most 1 % of the good wells failed.",
    "0.98 and 0.01, the promise of the simulated screen",
    "Look at the missed wells and at the rules that raise false alarms.",
)
NUCLEUS_CHANNEL = Rule(
    "QC906",
    "Channel that shows nuclei",
    "Empty and dead sites are found by their nuclei, which another channel does not show.",
    "the channel of the DNA stain.",
    "quality.nucleus_channel, or the first channel called DNA, Hoechst, DAPI or nuclei",
    "Set quality.nucleus_channel of the screen to the channel that shows nuclei.",
)
EMBEDDINGS_RAN = _ran("EM100", "Embedding")
FAILED_ROWS = Rule(
    "EM101",
    "Wells without a vector",
    "Wells that could not be read have no vector and silently shrink every later count.",
    "none.",
    "the setting max_failed_fraction of the screen",
    "Read the reasons in the table of failures.",
)
ALIGNMENT_RAN = _ran("AL100", "Alignment")
SMALL_BATCHES = Rule(
    "AL101",
    "Controls per batch",
    "A covariance from few controls is noise; re-colouring with it adds what it should remove.",
    "16 or more controls in every batch.",
    "the setting alignment.warn_controls",
    "Merge batches, or leave out the smallest.",
)
CONSISTENCY_RAN = _ran("CO100", "Consistency tests")
FALSE_PHENOPRINTS = Rule(
    "CO101",
    "Measured false phenoprints of one judge (control guard)",
    "Control wells have no effect of their own. Groups of them with the wells per plate and the "
    "positions of the conditions, under maps that were fitted without them, are called as often "
    "as conditions without effect are: by chance, plates and positions together.",
    "a rate near the nominal threshold.",
    "twice the manifest's p_value; the interval must end below 25 %",
    "Follow docs/how-to/positions.md: compare null models, look at plates and positions, and let "
    "replicates change plate and position next time; more control wells narrow the interval.",
)
SINGLE_POSITION = Rule(
    "CO102",
    "Conditions that never change position",
    "When all wells of a condition share a position, its phenoprint cannot be told from the "
    "position's own look.",
    "replicates at different positions.",
    "half of the tested conditions, a choice of this report",
    "Read these phenoprints together with the control guard; randomise positions next time.",
)
NULL_RESOLUTION = Rule(
    "CO103",
    "Null sets per test",
    "A test with M different null sets cannot give a p-value below 1/(M + 1), and with one of m "
    "experiments at 1/K and the rest at 0.5 the combined p is about m/K.",
    "at least 1/p_value different null sets for every test, and K of at least m/p_value.",
    "K ≥ m/α (Cauchy combination), and at most 20 % of the tests with fewer null sets than 1/α",
    "Raise consistency.num_null, or put more conditions on a plate.",
)
UNTESTABLE = Rule(
    "CO104",
    "Tests without a p-value",
    "A condition that cannot be tested has no phenoprint, whatever it does to cells.",
    "few: more replicates per experiment, or the scope across-experiments.",
    "20 % of the tests, a choice of this report",
    "Add replicates, or set consistency.scope: across-experiments.",
)
REPEATED_VECTORS = Rule(
    "CO105",
    "Vectors that stand under several wells",
    "Wells with the same vector, bit for bit, agree for a reason that is not biology: a row that "
    "was copied, or joined to the wrong well.",
    "none.",
    "none",
    "The log of the test names the wells; leave them out, or mend the table of vectors.",
)
SHARED_PHENOTYPE = Rule(
    "CO106",
    "A phenotype that most conditions share",
    "Conditions are compared with random sets of other conditions. When most of them do the same "
    "to cells, such as killing them, the random sets look alike too and real phenoprints are lost.",
    "wells of different conditions are no more alike than control wells.",
    "a mean cosine of 0.05 above that of control wells, a choice of this report",
    "Compare with consistency.null_model: negative-controls, which asks whether conditions differ "
    "from controls.",
)
CURATION_RAN = _ran("CU100", "Curation")
PHENOPRINTS_FOUND = Rule(
    "CU101",
    "Phenoprints",
    "Step 5 keeps the wells of conditions with a phenoprint; without any, only controls are left.",
    "many more than the false ones that the rule allows.",
    "the false phenoprints that the configured rule gives without any effect",
    "Check replicates, alignment and the judges before learning from this manifest.",
)
DECIDED_BY_CLIP = Rule(
    "CU102",
    "Conditions decided by the clip",
    "One experiment with p near 1 can erase a phenoprint in the Cauchy combination.",
    "none or few; otherwise set consistency.p_value_clip.",
    "2 % of the conditions, a choice of this report",
    "Set consistency.p_value_clip, such as 0.99, and compare.",
)
MANIFEST_SIZE = Rule(
    "CU103",
    "Wells of the manifest",
    "An encoder cannot learn from an empty manifest.",
    "more than none; the paper keeps 16 of 93 million.",
    "one well",
    "See which step takes the wells; another preset may fit the screen.",
)
TRUTH_RECALL = Rule(
    "CU104",
    "Planted phenoprints found",
    "The simulated screen knows its truth: recall says what the procedure misses.",
    "90 % or more of the full phenoprints.",
    "0.90, the promise of the simulated screen",
    "Look at the missed conditions in the table of differences.",
)
TRUTH_FALSE = Rule(
    "CU105",
    "False phenoprints against the truth",
    "Conditions planted without effect should be called at the nominal rate of the rule.",
    "an interval that reaches down to the nominal rate.",
    "the nominal rate of the configured rule, by the lower end of the Wilson interval",
    "Look at the called conditions in the table of differences, and at the control guard.",
)
FUNNEL_WARNINGS = Rule(
    "CU106",
    "What the funnel warns of",
    "Limits that no condition reaches and tests that have seen held-out experiments decide about "
    "wells without anybody wanting it.",
    "no warning.",
    "none",
    "Each warning says what to change.",
)
FALSE_RATE_OF_RULE = Rule(
    "CU107",
    "Measured false phenoprints of the rule (control guard)",
    "The rule of the manifest, with all of its judges and experiments, is applied to groups of "
    "control wells that copy the designs of the conditions. What it calls there is false.",
    "a rate near the one that the rule allows.",
    "twice the rate that chance alone gives under the rule; the interval must end below 25 %",
    "Follow docs/how-to/positions.md.",
)
TRAINING_RAN = _ran("TR100", "Training")
LOSS_FALLS = Rule(
    "TR101",
    "Training loss",
    "A loss that does not fall, or is not finite, gives an encoder that has learned nothing.",
    "the last tenth well below the first tenth.",
    "last tenth below first tenth of the steps",
    "Lower the learning rate, or train longer.",
)
HIDDEN_EXPLAINED = Rule(
    "TR102",
    "Explained variance of hidden patches",
    "A masked autoencoder that predicts hidden patches worse than a linear predictor from the "
    "nearest visible pixels has not learned what cells look like, however much its loss fell.",
    "above the linear predictor, on wells that were kept aside.",
    "half of the linear predictor's explained variance (below: FAIL), and the whole (below: CHECK)",
    "Train longer; take smaller patches, smaller batches, or weight_init: mae (docs/training.md).",
)
PROBES_RAN = _ran("PR100", "Probes")
ABOVE_CHANCE = Rule(
    "PR101",
    "Probe accuracy above chance",
    "An encoder whose blocks do not beat 1/classes knows nothing of the task.",
    "well above 1/classes on unseen experiments.",
    "1 / number of classes",
    "Train longer, or probe another task.",
)
MAPS_RAN = _ran("MA100", "Maps")
SMALL_MAP = Rule(
    "MA101",
    "Perturbations of the map",
    "Recall against a null of all pairs needs enough perturbations to have a tail.",
    "20 or more.",
    "the setting benchmarks.relationships.min_perturbations",
    "Do not read recall from this map.",
)
MATCHES_RAN = _ran("MT100", "Matches")
MATCH_FIT = Rule(
    "MT101",
    "Controls of new screens",
    "Batch correction makes any controls agree with the reference's, so neighbours of an "
    "experiment that does not belong to it look as good as others.",
    "controls like those of the reference's own batches.",
    "the range of the reference's batches, each left out of the fit in turn",
    "Check stain, exposure, encoder and cell type; read docs/matches.md.",
)
BENCHMARKS_RAN = _ran("BE100", "Benchmarks")
BEATS_RANDOM = Rule(
    "BE101",
    "Better than the strongest baseline",
    "A benchmark value means little unless it beats chance and every encoder that learned nothing: "
    "random vectors, an untrained network, simple statistics of the pixels, cell counts.",
    "main measures at least 3 standard deviations above what draws without any signal give, and "
    "above the strongest of these encoders in the run.",
    "3 standard deviations, a choice of this report; the strongest baseline of the same measure",
    "Treat these values as no better than the baseline that is named.",
)
IN_SAMPLE = Rule(
    "BE102",
    "In-sample rows",
    "An encoder that was curated or trained on a screen is flattered by benchmarks on it.",
    "hold out experiments, and read in-sample rows as upper bounds.",
    "what the encoder has seen of the screen",
    "Use hold_out for an honest comparison.",
)
STUDY_RESOLVED = Rule(
    "ST101",
    "What a study resolves",
    "A difference whose interval holds 0 and reaches beyond the margin says nothing: neither that "
    "one training set is better nor that both are equal.",
    "the primary measure better, worse or equivalent within its margin.",
    "the margin of the configuration, and seeds for a power of 0.8 to see it",
    "Add seeds, as many as the page names, in a study of its own.",
)
UNREADABLE = Rule(
    "RE101",
    "Unreadable artefacts",
    "A file that is there and cannot be read was damaged after it was written.",
    "none.",
    "none",
    "Delete the file and run Snakemake again.",
)
STALE = Rule(
    "RE102",
    "Stale artefacts",
    "A table that was made with other settings or from other inputs than those of now does not "
    "belong to the rest; pages state the settings that it was made with.",
    "none.",
    "none",
    "Run Snakemake again with the configuration that is meant; what is stale is made anew.",
)

RULES = tuple(sorted((r for r in vars().values() if isinstance(r, Rule)), key=lambda r: r.code))
"""All of them, by code."""
