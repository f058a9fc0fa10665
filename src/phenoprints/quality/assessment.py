"""From the metrics of sites to verdicts on sites and wells."""

# S sites · C channels · P pairs of channels · M metrics

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.errors import DataError, TableError
from phenoprints.quality.measurement import measure
from phenoprints.quality.nuclei import CONDENSATION_PERCENTILES
from phenoprints.quality.plates import assay_conditions
from phenoprints.quality.references import Reference, reference, robust_z
from phenoprints.quality.rules import QualitySettings
from phenoprints.quality.swaps import (
    CORRELATION_FLOOR,
    FEATURE_FLOORS,
    exchanged_pairs,
    least_spreads,
    mirrored_pairs,
    pair_contrasts,
)
from phenoprints.quality.verdicts import site_rows
from phenoprints.wells import CONTROL_ROLES, WHOLE_WELL

LOG_FLOOR = 0.05
"""The least spread of a metric's natural logarithm between control sites."""

UNEVENNESS_FLOOR = 0.05
SLOPE_FLOOR = 0.05
GRADIENT_FLOOR = 0.05
"""The least spread of a slope across the image between control sites."""
MIN_SITES = 8
"""Sites without controls among which channels are looked for that differ in an unusual way."""
MAX_GRADIENT_Z = 3.0
MIN_VIGNETTE = 0.4
"""Least range of the logarithm of the background in an image that is called uneven."""
MIN_SHARPNESS_RATIO = 0.4
MAX_STEEPER = 0.8
"""How much steeper than the controls' the power spectrum may be: textures differ by up to half."""
MIN_SHARPNESS_RATIO_OF_ONE = 0.5
MAX_STEEPER_OF_ONE = 1.0
"""The same for a single channel: in real images a blur of 4 pixels makes it steeper by over 1.1."""

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


def assess(
    metrics: pd.DataFrame,
    wells: pd.DataFrame,
    settings: QualitySettings | None = None,
    *,
    failing_plates: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return the quality table of a screen: every site and well with verdict, reasons and metrics.

    Parameters
    ----------
    metrics
        A row per site: well_id, site, `unreadable` (why, or ""), and the metrics of `measure`,
        NaN where it could not be read.
    wells
        The wells table: well_id, experiment, plate, role.
    settings
        Thresholds; the defaults when absent.
    failing_plates
        Columns experiment, plate, code: their wells fail with this code.

    Returns
    -------
    A table of the quality contract. A site fails when it breaks any rule that is not disabled; a
    well fails when fewer than `min_good_sites` of its sites pass, for the reasons of its failing
    sites. A well without sites is `not assessed` (QC000). A well's metrics are the means over its
    good sites, or over all when none is good.
    """
    chosen = settings or QualitySettings()
    keys = site_rows(wells, metrics)
    facts = wells[["well_id", "experiment", "plate", "role"]]
    sites = keys[keys["site"] != WHOLE_WELL].merge(facts, on="well_id", how="left")
    ordered = sites.merge(metrics, on=["well_id", "site"], how="left")
    if len(ordered) != len(sites):
        raise TableError("metrics: a site stands in several rows. Expected one row for each site.")
    reasons = site_reasons(ordered, chosen, failing_plates)
    ordered["verdict"] = np.where([bool(codes) for codes in reasons], "fail", "pass")
    ordered["reasons"] = pd.Series(reasons, dtype=object)
    per_well = _well_rows(facts["well_id"], ordered, chosen.min_good_sites)
    table = pd.concat([ordered.drop(columns=["experiment", "plate", "role"]), per_well])
    return keys.merge(table, on=["well_id", "site"], how="left", validate="one_to_one")


def assess_screen(
    metrics: pd.DataFrame,
    wells: pd.DataFrame,
    settings: QualitySettings | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the quality table of a screen, and the assay conditions of its plates.

    Plates that fail one of `plate_rules_that_fail` fail with all their sites and wells.
    """
    chosen = settings or QualitySettings()
    table = assess(metrics, wells, chosen)
    plates = assay_conditions(table, wells, chosen)
    is_failing = (plates["verdict"] == "fail") & plates["code"].isin(chosen.plate_rules_that_fail)
    if is_failing.any():
        table = assess(metrics, wells, chosen, failing_plates=plates[is_failing])
    return table, plates


def failed_rules(
    image: NDArray[np.unsignedinteger],
    channels: Sequence[str] | None = None,
    settings: QualitySettings | None = None,
) -> list[str]:
    """Return the codes of the rules that a single image breaks, sorted.

    Rules that compare with the controls of a plate cannot be applied to one image; they are left
    out. `image` is uint8 or uint16 (C, H, W); see `measure` for its requirements and `RULES` for
    the meaning of the codes.
    """
    metrics = pd.DataFrame([{"well_id": np.uint64(0), "site": 0, "unreadable": "",
                             **measure(image, channels)}])  # fmt: skip
    well = {"well_id": [np.uint64(0)], "experiment": "", "plate": "", "role": "treatment"}
    table = assess(metrics, pd.DataFrame(well), settings)
    return list(table.loc[table["site"] == 0, "reasons"].iloc[0])


def site_reasons(
    sites: pd.DataFrame, settings: QualitySettings, failing_plates: pd.DataFrame | None = None
) -> list[list[str]]:
    """Return the sorted codes of the rules that each site breaks; of an unreadable one, QC001
    alone.
    """
    if (sites["unreadable"].fillna("") != "").all():
        return [["QC001"]] * len(sites)
    judged = Judgement(sites, settings)
    broken = {code: rule(judged) for code, rule in SITE_RULES.items()}
    is_unreadable = broken["QC001"]
    active = [code for code in sorted(broken) if code not in settings.disabled_rules]
    reasons = [
        ["QC001"] if is_unreadable[at] else [code for code in active if broken[code][at]]
        for at in range(len(sites))
    ]
    if failing_plates is None or failing_plates.empty:
        return reasons
    codes = failing_plates.groupby(["experiment", "plate"])["code"].agg(list)
    plates = pd.MultiIndex.from_frame(sites[["experiment", "plate"]])
    return [
        sorted({*own, *codes[plate]}) if plate in codes.index else own
        for own, plate in zip(reasons, plates, strict=True)
    ]


def _well_rows(
    well_ids: pd.Series[Any], sites: pd.DataFrame, min_good_sites: float
) -> pd.DataFrame:
    """One row per well, with site -1."""
    is_good = sites["verdict"] == "pass"
    share = is_good.groupby(sites["well_id"]).mean()
    by_well = sites.loc[~is_good].groupby("well_id")["reasons"]
    reasons = by_well.agg(lambda lists: sorted({code for codes in lists for code in codes}))
    usable = is_good | ~sites["well_id"].isin(share.index[share > 0])
    numbers = sites[usable].groupby("well_id").mean(numeric_only=True).drop(columns="site")
    table = pd.DataFrame({"well_id": well_ids, "site": np.int32(WHOLE_WELL)})
    known = table["well_id"].map(share)
    table["verdict"] = np.select(
        [known.isna(), known < max(min_good_sites, 1e-9)], ["not assessed", "fail"], "pass"
    )
    listed = table["well_id"].map(reasons)
    table["reasons"] = pd.Series(
        [
            {"pass": [], "not assessed": ["QC000"]}.get(verdict, codes)
            for verdict, codes in zip(table["verdict"], listed, strict=True)
        ],
        dtype=object,
        index=table.index,
    )
    return table.merge(numbers, left_on="well_id", right_index=True, how="left")


@dataclass
class Judgement:
    """The metrics of all sites as matrices, beside what is usual on their plates."""

    sites: pd.DataFrame
    settings: QualitySettings

    def __post_init__(self) -> None:
        prefix = "mean_"
        names = [str(name) for name in self.sites]
        self.channels = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
        if not self.channels:
            raise DataError("metrics: no column starts with mean_. Expected those of `measure`.")

    def of_channels(self, metric: str) -> Floats:
        """Return the values (S, C) of a metric in each channel."""
        return self.sites[[f"{metric}_{c}" for c in self.channels]].to_numpy(np.float64)

    def of_pairs(self) -> Floats:
        """Return the correlations (S, P) between channels."""
        names = [f"correlation_{a}_{b}" for a, b in combinations(self.channels, 2)]
        return self.sites[names].to_numpy(np.float64)

    def usual(self, values: Floats, floor: float) -> Reference:
        """Return the median of each site's plate for some values (S, M)."""
        return reference(values, self.sites, min_controls=self.settings.min_controls, floor=floor)

    def has_reference(self, num_sites: int) -> Mask:
        """Return whether each site (S,) has controls, or `num_sites` others, to compare with."""
        is_control = self.sites["role"].isin(CONTROL_ROLES)
        experiment = self.sites["experiment"]
        num_controls = is_control.groupby(experiment).transform("sum")
        num_all = experiment.groupby(experiment).transform("size")
        enough = (num_controls >= self.settings.min_controls) | (num_all >= num_sites)
        return enough.to_numpy(dtype=np.bool_)

    def spread_of_all(self, values: Floats) -> Floats:
        """How much values (S, M) vary between all sites of an experiment, phenotypes included."""
        anyone = self.sites.assign(role="", plate="")
        return reference(values, anyone, min_controls=self.settings.min_controls, floor=0.0).spread

    def log_ratio(self, values: Floats) -> tuple[Floats, Floats]:
        """Return the natural logarithm of value over usual value, and its robust z, both (S, M)."""
        logs = _log(values)
        usual = self.usual(logs, LOG_FLOOR)
        return logs - usual.median, robust_z(logs, usual)


def _log(values: Floats) -> Floats:
    return np.log(np.where(values > 0, values, np.nan))


def _any_channel(is_broken: Any) -> Mask:
    """Whether any of (S, C) is true, for each site."""
    broken: Mask = is_broken.any(axis=1)
    return broken


def _median_over_channels(values: Floats) -> Floats:
    """Return the median (S,) of (S, C) without NaN; NaN where nothing is known."""
    result = np.full(len(values), np.nan)
    known = np.isfinite(values).any(axis=1)
    result[known] = np.nanmedian(values[known], axis=1)
    return result


def unreadable(j: Judgement) -> Mask:
    """QC001: the image could not be read."""
    return np.asarray(j.sites["unreadable"].fillna("") != "", dtype=np.bool_)


def empty_channel(j: Judgement) -> Mask:
    """QC002: all pixels of a channel are equal."""
    return _any_channel(j.of_channels("std") == 0)


def same_channels(j: Judgement) -> Mask:
    """QC003: two channels are the same image."""
    return _any_channel(j.of_pairs() > j.settings.max_channel_correlation)


def swapped(j: Judgement) -> Mask:
    """QC004: the site, or how two channels differ in it, is nearer to its controls when exchanged.

    Similar channels, such as ER and RNA, are told by their differences within the image alone.
    """
    if len(j.channels) < 2:
        return np.zeros(len(j.sites), dtype=np.bool_)
    columns = [
        _log(j.of_channels(name[4:])) if name.startswith("log_") else j.of_channels(name)
        for name in FEATURE_FLOORS
    ]
    features, correlations = np.stack(columns, axis=2), j.of_pairs()
    num_channels = len(j.channels)
    is_exchanged = _exchanged(j, features, correlations)
    contrasts = pair_contrasts(features, correlations)
    flat = contrasts.reshape(len(contrasts), -1)
    usual = j.usual(flat, 1.0).median.reshape(contrasts.shape)
    spread = j.spread_of_all(flat).reshape(contrasts.shape)
    spread = np.fmax(spread, least_spreads(num_channels))
    is_swapped = is_exchanged | (mirrored_pairs(contrasts, usual, spread) >= 0)
    return np.asarray(is_swapped & j.has_reference(MIN_SITES), dtype=np.bool_)


def _exchanged(j: Judgement, features: Floats, correlations: Floats) -> Mask:
    """Whether all features (S, C, F) and correlations (S, P) of a site fit better exchanged."""
    num_features = features[0].size
    values = np.concatenate([features.reshape(len(features), -1), correlations], axis=1)
    usual, spread = j.usual(values, 1.0).median, j.spread_of_all(values)
    floors = np.tile(list(FEATURE_FLOORS.values()), len(j.channels))
    least = np.append(floors, np.full(correlations.shape[1], CORRELATION_FLOOR))

    def parts(matrix: Floats) -> tuple[Floats, Floats]:
        return matrix[:, :num_features].reshape(features.shape), matrix[:, num_features:]

    pairs = exchanged_pairs(parts(values), parts(usual), parts(np.fmax(spread, least)))
    is_exchanged: Mask = pairs >= 0
    return is_exchanged


def copied(j: Judgement) -> Mask:
    """QC005: part of a channel stands twice in it."""
    return _any_channel(j.of_channels("copied_percent") > j.settings.max_copied_percent)


def same_image(j: Judgement) -> Mask:
    """QC006: another site has the same pixels."""
    prints = j.sites["fingerprint"]
    return np.asarray(prints.duplicated(keep=False) & prints.notna(), dtype=np.bool_)


def partial_frame(j: Judgement) -> Mask:
    """QC007: rows or columns of a channel are missing: far more are of one value than usual."""
    values = j.of_channels("blank_percent")
    usual = np.nan_to_num(j.usual(values, 1.0).median)
    return _any_channel((values - usual > j.settings.max_blank_percent) & (values < 100.0))


def blurred(j: Judgement) -> Mask:
    """QC010: the image or a channel is far less sharp than the controls, or hardly sharp at all.

    Sharpness shows fine blur and the slope of the power spectrum coarse blur, so either will do.
    """
    sharpness, slope = j.of_channels("sharpness"), j.of_channels("power_log_log_slope")
    ratios = j.log_ratio(sharpness)
    ratio, ratio_z = map(_median_over_channels, ratios)
    usual = j.usual(slope, SLOPE_FLOOR)
    limit = -j.settings.max_robust_z
    change, change_z = slope - usual.median, robust_z(slope, usual)
    is_one = (change < -MAX_STEEPER_OF_ONE) & (change_z < limit)
    is_one_steep = _any_channel(is_one & (ratios[0] < np.log(MIN_SHARPNESS_RATIO_OF_ONE)))
    steeper, slope_z = map(_median_over_channels, (change, change_z))
    is_soft = (ratio < np.log(MIN_SHARPNESS_RATIO)) & (ratio_z < limit)
    is_steep = (steeper < -MAX_STEEPER) & (slope_z < limit)
    is_hopeless = _median_over_channels(sharpness) < j.settings.min_sharpness
    blurry: Mask = np.asarray(is_soft | is_steep | is_one_steep | is_hopeless, dtype=np.bool_)
    return blurry


def saturated(j: Judgement) -> Mask:
    """QC011: too many pixels of a channel are at the largest value."""
    return _any_channel(j.of_channels("saturated_percent") > j.settings.max_saturated_percent)


def odd_intensity(j: Judgement) -> Mask:
    """QC012: a channel is far darker or brighter than in the controls.

    Its 99th percentile must differ the same way, by half as much in logarithms: few cells make the
    mean dark, and not themselves.
    """
    ratio, z = j.log_ratio(j.of_channels("mean"))
    high, _ = j.log_ratio(j.of_channels("percentile_99"))
    factor = np.log(j.settings.max_intensity_factor)
    far = (np.abs(ratio) > factor) & (np.sign(ratio) * high > factor / 2.0)
    return _any_channel(far & (np.abs(z) > j.settings.max_robust_z))


def uneven(j: Judgement) -> Mask:
    """QC013: the light is far more uneven than in the controls, or changes across the image."""
    values = j.of_channels("illumination_unevenness")
    z = _median_over_channels(robust_z(values, j.usual(values, UNEVENNESS_FLOOR)))
    is_uneven = (_median_over_channels(values) > j.settings.max_unevenness) & (
        z > j.settings.max_robust_z
    )
    is_uneven &= _median_over_channels(j.of_channels("background_range")) > MIN_VIGNETTE
    is_sloping = _slope(j, "background") > j.settings.max_background_slope
    return is_uneven | is_sloping | (_slope(j, "noise") > j.settings.max_noise_slope)


def _slope(j: Judgement, what: str) -> Floats:
    """Return how much more (S,) a quantity changes across an image than in the controls.

    The length of the difference of slopes along x and y, each the mean over channels with weights
    of one over the square of their spread; 0 where it is less than three spreads. Sites without
    reference are compared with an even image.
    """
    axes = [j.of_channels(f"{what}_slope_{axis}") for axis in "xy"]
    usual = [j.usual(values, GRADIENT_FLOOR) for values in axes]
    spread = sum(np.nan_to_num(u.spread, nan=GRADIENT_FLOOR) for u in usual) / 2.0
    weights = spread**-2.0
    weights /= weights.sum(axis=1, keepdims=True)
    means = [
        (weights * (values - np.nan_to_num(u.median))).sum(axis=1)
        for values, u in zip(axes, usual, strict=True)
    ]
    length: Floats = np.hypot(*means)
    between = j.usual(np.stack(means, axis=1), GRADIENT_FLOOR).spread.mean(axis=1)
    least = MAX_GRADIENT_Z * np.nan_to_num(between, nan=GRADIENT_FLOOR)
    return np.where(length > least, length, 0.0)


def out_of_bounds(j: Judgement) -> Mask:
    """QC014: a metric is outside of what the configuration allows; unknown metrics are an error."""
    is_out = np.zeros(len(j.sites), bool)
    for metric, (low, high) in j.settings.bounds.items():
        own = [f"{metric}_{c}" for c in j.channels]
        columns = [c for c in (metric, *own) if c in j.sites]
        if not columns:
            raise DataError(f"quality.bounds: {metric!r} is no metric of this screen.")
        values = j.sites[columns].to_numpy(np.float64)
        is_out |= (values < (-np.inf if low is None else low)).any(axis=1)
        is_out |= (values > (np.inf if high is None else high)).any(axis=1)
    return is_out


def empty(j: Judgement) -> Mask:
    """QC020: there are hardly any nuclei."""
    return np.asarray(j.sites["nuclei_count"] < j.settings.min_nuclei, dtype=np.bool_)


def dead(j: Judgement) -> Mask:
    """QC021: most nuclei are small and bright beside those of the controls."""
    return dead_fraction(j) > j.settings.max_dead_fraction


def dead_fraction(j: Judgement) -> Floats:
    """Return the share (S,) of condensed nuclei, from the percentiles of condensation; NaN if
    unknown.
    """
    names = [f"nuclei_condensation_{p}" for p in CONDENSATION_PERCENTILES]
    values = j.sites[names].to_numpy(np.float64)
    middle = values[:, [CONDENSATION_PERCENTILES.index(50)]]
    limit = j.settings.condensed_factor * j.usual(middle, 0.0).median[:, 0]
    levels = np.array([0, *CONDENSATION_PERCENTILES, 100]) / 100
    result = np.full(len(values), np.nan)
    for at in np.flatnonzero(np.isfinite(limit) & np.isfinite(values).all(axis=1)):
        edges = np.array([0.0, *values[at], max(values[at, -1], limit[at]) * (1 + 1e-9)])
        result[at] = 1.0 - np.interp(limit[at], edges, levels)
    return result


def debris(j: Judgement) -> Mask:
    """QC022: pixels that are bright in all channels."""
    return np.asarray(j.sites["debris_percent"] > j.settings.max_debris_percent, dtype=np.bool_)


SITE_RULES: dict[str, Callable[[Judgement], Mask]] = {
    "QC001": unreadable, "QC002": empty_channel, "QC003": same_channels, "QC004": swapped,
    "QC005": copied, "QC006": same_image, "QC007": partial_frame, "QC010": blurred,
    "QC011": saturated,
    "QC012": odd_intensity, "QC013": uneven, "QC014": out_of_bounds, "QC020": empty,
    "QC021": dead, "QC022": debris,
}  # fmt: skip
"""How each rule of sites is decided; a comparison with NaN is never true."""
