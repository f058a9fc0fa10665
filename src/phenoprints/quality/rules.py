"""The rules that images and plates are judged by: code, what it says, and why it matters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from phenoprints.configuration.models.stages import Quality
from phenoprints.foundations.errors import ConfigurationError, Problem, raise_problems


@dataclass(frozen=True)
class Rule:
    """One rule: its code, what broke it, the threshold as a formula of settings, and why."""

    code: str
    what: str
    threshold: str
    why: str
    level: str = "site"


RULES = {
    rule.code: rule
    for rule in (
        Rule("QC000", "no image", "", "Nothing can be said about its quality."),
        Rule("QC001", "the image cannot be read", "", "Its well would be missing silently."),
        Rule("QC002", "a channel is empty", "one single grey value", "A stain or file is missing."),
        Rule(
            "QC003", "two channels are the same image", "correlation > {max_channel_correlation}",
            "A file was copied or named twice.",
        ),
        Rule(
            "QC004", "two channels are swapped",
            "exchanging them brings the image clearly nearer to the plate's controls",
            "A filter or a file name was mistaken; every feature of both channels is wrong.",
        ),
        Rule(
            "QC005", "a region stands twice in a channel",
            "copied blocks of 8 × 8 pixels > {max_copied_percent} %",
            "Stitching or processing repeated pixels.",
        ),
        Rule(
            "QC006", "the image of another site", "equal pixels",
            "One of the two sites shows another well than its name says.",
        ),
        Rule(
            "QC007", "part of the frame is missing",
            "rows or columns of one single value: {max_blank_percent} % more than in the controls",
            "The transfer of the image stopped, or a stage blocked the light.",
        ),
        Rule(
            "QC010", "out of focus",
            "as the median over channels: sharpness below 0.4 of the controls', or the power "
            "spectrum's slope steeper by 0.8; or of one channel steeper by 1 with half the "
            "sharpness; each more than "
            "{max_robust_z} robust z away; or sharpness below {min_sharpness}",
            "Texture is lost, and blurred wells look like each other.",
        ),
        Rule(
            "QC011", "saturated", "a channel with more than {max_saturated_percent} % of pixels at "
            "the largest value", "Intensities and texture above the limit are lost.",
        ),
        Rule(
            "QC012", "too dark or too bright",
            "a channel's mean beyond a factor of {max_intensity_factor} of the controls' and more "
            "than {max_robust_z} robust z away, its 99th percentile the same way by half as much",
            "Staining, exposure or dispensing failed.",
        ),
        Rule(
            "QC013", "uneven illumination",
            "unevenness, as the median over channels, above {max_unevenness} and more than "
            "{max_robust_z} robust z away; or the logarithm of background or noise changes across "
            "the image by {max_background_slope} or {max_noise_slope} more than in the controls",
            "Position in the image would look like biology.",
        ),
        Rule(
            "QC014", "outside of a bound that the configuration sets", "quality.bounds",
            "The screen's own experience.",
        ),
        Rule(
            "QC020", "empty", "fewer than {min_nuclei} nuclei in the channel that shows them",
            "There are no cells to see.",
        ),
        Rule(
            "QC021", "dead cells",
            "more than {max_dead_fraction} of nuclei condensed: intensity/area above "
            "{condensed_factor} times the controls' median",
            "Dead cells look alike whatever killed them.",
        ),
        Rule(
            "QC022", "debris or fibres",
            "more than {max_debris_percent} % of pixels very bright in all channels at once",
            "Dust is neither cell nor compound.",
        ),
        Rule(
            "QC030", "too few controls", "fewer than {min_controls} good control wells",
            "Alignment and verdicts lean on them.", level="plate",
        ),
        Rule(
            "QC031", "controls do not resemble each other",
            "median correlation of control profiles below {min_control_correlation}",
            "The plate's noise is larger than what its controls have in common.", level="plate",
        ),
        Rule(
            "QC032", "positive controls are not apart from the other controls",
            "distance ratio below {min_separation}", "The assay did not work on this plate.",
            level="plate",
        ),
        Rule(
            "QC033", "edge effect",
            "edge and inner wells differ by more than {max_edge_effect} robust z in some metric",
            "Position will look like a phenotype.", level="plate",
        ),
        Rule(
            "QC034", "another plate map fits better",
            "replicates agree more under a rotated, mirrored or shifted map",
            "The plate was put in the wrong way round, or its map is wrong.", level="plate",
        ),
    )
}  # fmt: skip
"""Every rule by its code; `level` is site or plate."""


class QualitySettings(Quality):
    """Thresholds of the rules; fields and defaults are those of the configuration."""

    def model_post_init(self, _: Any) -> None:
        """Check that codes are those of rules."""
        problems = [
            Problem("quality.disabled_rules", f'"{code}" is no rule', f"one of {', '.join(RULES)}")
            for code in self.disabled_rules
            if code not in RULES
        ]
        plate_codes = [code for code, rule in RULES.items() if rule.level == "plate"]
        problems += [
            Problem(
                "quality.plate_rules_that_fail", f'"{code}" is no rule of plates',
                f"one of {', '.join(plate_codes)}",
            )
            for code in self.plate_rules_that_fail
            if code not in plate_codes
        ]  # fmt: skip
        raise_problems(problems, ConfigurationError)


def catalogue(settings: QualitySettings) -> list[dict[str, str]]:
    """Every rule as code, level, what, threshold (with the settings' numbers) and why."""
    return [
        {
            "code": rule.code, "level": rule.level, "what": rule.what,
            "threshold": rule.threshold.format(**vars(settings)), "why": rule.why,
        }
        for rule in RULES.values()
    ]  # fmt: skip
