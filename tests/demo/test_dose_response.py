"""What the page of maps prints of doses, against the truth of the simulated screen."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pandas as pd
import pytest

ENCODERS = ("phenoprints-mae", "phenoprints-mae.trimmed", "untrained", "random")
TRAINED = ("phenoprints-mae", "phenoprints-mae.trimmed")


class Cells(HTMLParser):
    """The text of the cells of the first table."""

    def __init__(self):
        super().__init__()
        self.rows, self._is_open = [], True

    def handle_starttag(self, tag, attributes):
        if tag == "tr" and self._is_open:
            self.rows.append([])
        if tag in ("td", "th") and self._is_open:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        if tag == "table":
            self._is_open = False

    def handle_data(self, data):
        if self._is_open and self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip()


def printed_doses(html, anchor):
    """The rows of a table of a page, by the titles of its columns; numbers as numbers."""
    start = html.index(f'id="{anchor}"')
    parser = Cells()
    parser.feed(html[html.index("<thead>", start) :])
    table = pd.DataFrame(parser.rows[1:], columns=parser.rows[0])
    for column in table.columns[1:]:
        table[column] = pd.to_numeric(table[column], errors="coerce")
    return table


def called(table):
    """Whether the page calls each dose active: at or above `Active from` of its compound."""
    return table["Concentration (µM)"] >= table["Active from (µM)"]


@pytest.fixture(scope="session")
def truth_of_doses(demo):
    """`full` or `none` for each compound and concentration."""
    truth = pd.read_parquet(demo / "screens/demo/truth.parquet").set_index("condition_id")["truth"]
    conditions = pd.read_parquet(demo / "screens/demo/conditions.parquet")
    doses = conditions[conditions["concentration_um"] > 0]
    keys = zip(doses["perturbation"], doses["concentration_um"].map("{:.3g}".format), strict=True)
    return pd.Series(
        truth.reindex(doses["condition_id"]).to_numpy(), pd.MultiIndex.from_tuples(keys)
    )


def doses_with_truth(demo, encoder, truth):
    html = (demo / "reports/maps.html").read_text()
    anchor = re.sub(r"[^A-Za-z0-9-]+", "-", f"demo-{encoder}-doses")
    table = printed_doses(html, anchor)
    keys = zip(table["Compound"], table["Concentration (µM)"].map("{:.3g}".format), strict=True)
    return table.assign(truth=[truth[key] for key in keys], is_called=called(table))


@pytest.mark.parametrize("encoder", ENCODERS)
def test_doses_without_effect_are_not_reported_as_active(demo, truth_of_doses, encoder):
    table = doses_with_truth(demo, encoder, truth_of_doses)
    none = table[table["truth"] == "none"]
    assert len(none) == 9
    assert not none["is_called"].any()


@pytest.mark.parametrize("encoder", TRAINED)
def test_doses_with_an_effect_are_reported_as_active(demo, truth_of_doses, encoder):
    table = doses_with_truth(demo, encoder, truth_of_doses)
    assert table.loc[table["truth"] == "full", "is_called"].mean() >= 0.9
