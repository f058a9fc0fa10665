"""Verdicts on the sites and wells of a simulated screen, with accidents planted or made."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from phenoprints.foundations.errors import ConfigurationError, DataError, TableError
from phenoprints.quality import (
    QUALITY,
    RULES,
    QualitySettings,
    assess,
    catalogue,
    failed_rules,
    measure,
    replicate_correlations,
)
from phenoprints.quality.assessment import SITE_RULES, assess_screen
from phenoprints.testing.simulation import BAD_KINDS, CHANNELS, SimulatedScreen, design, draw

EXPECTED = {
    "dead": "QC021", "blurred": "QC010", "saturated": "QC011", "empty": "QC020", "debris": "QC022",
}  # fmt: skip


@pytest.fixture(scope="module")
def screen() -> SimulatedScreen:
    settings = {"experiments": 1, "plates": 2, "bad_wells": 0.08, "size_px": 160}
    return design(settings, seed=2)


@pytest.fixture(scope="module")
def metrics(screen: SimulatedScreen) -> pd.DataFrame:
    rows = [measured(screen, at) for at in range(len(screen.wells))]
    return pd.DataFrame(rows)


def measured(
    screen: SimulatedScreen, at: int, change: Callable[[np.ndarray], np.ndarray] | None = None
) -> dict[str, object]:
    image = draw(screen, at)
    image = image if change is None else change(image)
    key = {"well_id": screen.wells["well_id"][at], "site": 1, "unreadable": ""}
    return {**key, **measure(image, CHANNELS)}


def verdicts(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["site"] == -1].reset_index(drop=True)


def test_planted_accidents_fail_for_their_reason(
    screen: SimulatedScreen, metrics: pd.DataFrame
) -> None:
    table = QUALITY.conform(assess(metrics, screen.wells)).to_pandas()
    wells = verdicts(table)
    kinds = np.array(screen.kinds)
    assert wells["well_id"].tolist() == screen.wells["well_id"].tolist()
    for kind in BAD_KINDS:
        found = wells[kinds == kind]
        assert set(found["verdict"]) == {"fail"}, kind
        assert any(EXPECTED[kind] in codes for codes in found["reasons"]), kind
    assert (wells.loc[kinds == "", "verdict"] == "fail").mean() <= 0.01


def changed(
    screen: SimulatedScreen, metrics: pd.DataFrame, change: Callable[[np.ndarray], np.ndarray]
) -> list[str]:
    at = int(
        np.flatnonzero((screen.wells["role"] == "treatment") & (np.array(screen.kinds) == ""))[3]
    )
    table = metrics.copy()
    row = pd.DataFrame([measured(screen, at, change)])
    table = pd.concat([table.drop(index=at), row], ignore_index=True)
    return list(verdicts(assess(table, screen.wells))["reasons"][at])


def exchange(a: int, b: int) -> Callable[[np.ndarray], np.ndarray]:
    order = list(range(len(CHANNELS)))
    order[a], order[b] = order[b], order[a]
    return lambda image: image[order]


def with_channel(channel: int, value: Callable[[np.ndarray], np.ndarray]) -> Callable:
    def change(image: np.ndarray) -> np.ndarray:
        image = image.copy()
        image[channel] = value(image)
        return image

    return change


def pasted(image: np.ndarray) -> np.ndarray:
    image = image.copy()
    image[:, 90:150, 90:150] = image[:, 10:70, 15:75]
    return image


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (exchange(0, 4), "QC004"),
        (exchange(2, 3), "QC004"),
        (exchange(4, 5), "QC004"),
        (with_channel(3, lambda image: image[2]), "QC003"),
        (with_channel(3, lambda image: np.full_like(image[3], 9)), "QC002"),
        (with_channel(1, lambda image: image[1] // 6), "QC012"),
        (pasted, "QC005"),
    ],
)
def test_accidents_of_files_are_found(
    screen: SimulatedScreen, metrics: pd.DataFrame, change: Callable, code: str
) -> None:
    assert code in changed(screen, metrics, change)


def test_the_same_image_in_two_wells_fails_both(
    screen: SimulatedScreen, metrics: pd.DataFrame
) -> None:
    table = metrics.copy()
    good = np.flatnonzero(np.array(screen.kinds) == "")[:2]
    columns = [c for c in table if c not in ("well_id", "site")]
    table.loc[good[1], columns] = table.loc[good[0], columns].to_numpy()
    reasons = verdicts(assess(table, screen.wells))["reasons"]
    assert "QC006" in reasons[good[0]]
    assert "QC006" in reasons[good[1]]


def test_an_unreadable_site_fails_with_that_reason_alone(
    screen: SimulatedScreen, metrics: pd.DataFrame
) -> None:
    numbers = [c for c in metrics if c not in ("well_id", "site", "unreadable")]
    table = metrics.copy()
    table[numbers] = table[numbers].astype(object)
    table.loc[0, numbers] = np.nan
    table.loc[0, "unreadable"] = "the file is not there"
    wells = verdicts(assess(table.infer_objects(), screen.wells))
    assert list(wells["reasons"][0]) == ["QC001"]
    assert wells["verdict"][0] == "fail"


def test_a_screen_of_unreadable_sites_fails_as_a_whole(screen: SimulatedScreen) -> None:
    nothing = pd.DataFrame({"well_id": screen.wells["well_id"], "site": 1, "unreadable": "lost"})
    wells = verdicts(assess(nothing, screen.wells))
    assert set(wells["verdict"]) == {"fail"}
    assert all(list(codes) == ["QC001"] for codes in wells["reasons"])


def test_a_well_passes_with_half_of_its_sites_and_takes_their_mean(
    screen: SimulatedScreen, metrics: pd.DataFrame
) -> None:
    good = int(np.flatnonzero(np.array(screen.kinds) == "")[0])
    bad = metrics.loc[[good]].assign(site=2, nuclei_count=0.0, fingerprint="x")
    table = pd.concat([metrics, bad], ignore_index=True)

    wells = verdicts(assess(table, screen.wells))
    assert wells["verdict"][good] == "pass"
    assert wells["nuclei_count"][good] == metrics["nuclei_count"][good]

    strict = verdicts(assess(table, screen.wells, QualitySettings(min_good_sites=0.6)))
    assert strict["verdict"][good] == "fail"
    assert list(strict["reasons"][good]) == ["QC020"]


def test_wells_without_sites_are_not_assessed(
    screen: SimulatedScreen, metrics: pd.DataFrame
) -> None:
    wells = verdicts(assess(metrics.iloc[1:], screen.wells))
    assert wells["verdict"][0] == "not assessed"
    assert list(wells["reasons"][0]) == ["QC000"]


def test_row_order_changes_nothing(screen: SimulatedScreen, metrics: pd.DataFrame) -> None:
    one = assess(metrics, screen.wells)
    other = assess(metrics.sample(frac=1.0, random_state=1), screen.wells)
    pd.testing.assert_frame_equal(one, other)


def test_disabled_rules_fail_nothing(screen: SimulatedScreen, metrics: pd.DataFrame) -> None:
    settings = QualitySettings(disabled_rules=tuple(SITE_RULES))
    assert set(verdicts(assess(metrics, screen.wells, settings))["verdict"]) == {"pass"}


def test_bounds_of_the_configuration_apply_to_all_channels(
    screen: SimulatedScreen, metrics: pd.DataFrame
) -> None:
    settings = QualitySettings(bounds={"mean": (None, 1.0)})
    reasons = verdicts(assess(metrics, screen.wells, settings))["reasons"]
    assert all("QC014" in codes for codes in reasons)
    with pytest.raises(DataError, match="'menu' is no metric"):
        assess(metrics, screen.wells, QualitySettings(bounds={"menu": (0, 1)}))


def test_failing_plates_fail_their_wells(screen: SimulatedScreen, metrics: pd.DataFrame) -> None:
    plate = pd.DataFrame({"experiment": ["experiment-1"], "plate": ["2"], "code": ["QC034"]})
    table = verdicts(assess(metrics, screen.wells, failing_plates=plate))
    has_code = np.array(["QC034" in codes for codes in table["reasons"]])
    assert np.array_equal(has_code, (screen.wells["plate"] == "2").to_numpy())


def test_assay_conditions_fail_a_plate_by_setting(
    screen: SimulatedScreen, metrics: pd.DataFrame
) -> None:
    """A rule of plates that is broken is a warning, and with the setting fails its wells."""
    strict = QualitySettings(max_edge_effect=0.0)
    warned, plates = assess_screen(metrics, screen.wells, strict)
    broken = plates[(plates["code"] == "QC033") & (plates["verdict"] == "fail")]
    assert set(broken["plate"]) == set(screen.wells["plate"])
    assert not any("QC033" in codes for codes in warned["reasons"])

    failing, _ = assess_screen(
        metrics, screen.wells, strict.replace(plate_rules_that_fail=("QC033",))
    )
    assert all("QC033" in codes for codes in failing["reasons"])
    assert set(failing["verdict"]) == {"fail"}
    assert "pass" in set(warned["verdict"])


def test_a_site_in_two_rows_is_refused(screen: SimulatedScreen, metrics: pd.DataFrame) -> None:
    with pytest.raises(TableError, match="several rows"):
        assess(pd.concat([metrics, metrics.iloc[:1]]), screen.wells)


def test_every_rule_is_in_the_catalogue_with_its_numbers() -> None:
    rules = catalogue(QualitySettings(max_debris_percent=0.7))
    assert [rule["code"] for rule in rules] == list(RULES)
    assert {code for code, rule in RULES.items() if rule.level == "site"} - {"QC000"} == set(
        SITE_RULES
    )
    assert not any("{" in rule["threshold"] for rule in rules)
    assert (
        "more than 0.7 % of pixels" in next(r for r in rules if r["code"] == "QC022")["threshold"]
    )


def test_unknown_rules_are_named() -> None:
    with pytest.raises(ConfigurationError, match='"QC999" is no rule'):
        QualitySettings(disabled_rules=("QC999",))
    with pytest.raises(ConfigurationError, match=r'plate_rules_that_fail.*"QC010" is not allowed'):
        QualitySettings(plate_rules_that_fail=("QC010",))


def one_site(channels: list[str], **changes: object) -> dict[str, object]:
    image = np.random.default_rng(3).integers(0, 99, (len(channels), 64, 64)).astype(np.uint8)
    return {"site": 1, "unreadable": "", **measure(image, channels), **changes}


@pytest.mark.parametrize("channels", [["DNA"], ["GFP"], ["DNA", "ER"]])
@pytest.mark.parametrize("kind", ["all fail", "a plate fails", "no known perturbation"])
def test_quality_never_fails_on_empty_groups(channels, kind):
    ids = np.arange(16, dtype=np.uint64)
    blank = {"all fail": range(16), "a plate fails": range(8)}.get(kind, [])
    rows = [
        {"well_id": n, **one_site(channels, **({f"std_{c.lower()}": 0.0 for c in channels}
                                               if n in blank else {}))}
        for n in ids
    ]  # fmt: skip
    metrics = pd.DataFrame(rows).assign(fingerprint=[str(n) for n in ids])
    condition = None if kind == "no known perturbation" else [0]
    wells = pd.DataFrame(
        {"well_id": ids, "experiment": "e", "plate": np.repeat(["P1", "P2"], 8),
         "role": "treatment", "row": 1, "column": np.tile(np.arange(1, 9), 2),
         "conditions": [condition] * 16}
    )  # fmt: skip
    table, plates = assess_screen(metrics, wells, QualitySettings(disabled_rules=["QC020"]))
    whole = table[table["site"] == -1]
    assert (whole["verdict"] == "fail").sum() == len(blank)
    assert set(plates["plate"]) == {"P1", "P2"}
    assert replicate_correlations(table, wells).empty


def test_without_a_nucleus_channel_no_site_is_empty_or_dead():
    metrics = pd.DataFrame([{"well_id": np.uint64(n), **one_site(["w1", "w2"])} for n in range(4)])
    assert metrics["nuclei_count"].isna().all()
    codes = failed_rules(np.full((1, 64, 64), 9, np.uint8), ["w1"])
    assert "QC020" not in codes
    assert "QC020" in failed_rules(np.full((1, 64, 64), 9, np.uint8), ["DNA"])
