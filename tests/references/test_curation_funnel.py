"""The funnel against the same five steps written in SQL."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import duckdb
import numpy as np
import pytest

from phenoprints.curation import Rules, curate
from phenoprints.foundations.randomness import hash_uint64

_SPEC = importlib.util.spec_from_file_location(
    "funnel_data", Path(__file__).parents[1] / "curation" / "conftest.py"
)
data = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(data)

STEPS = ["held_out", "quality", "information", "replicates", "sampling", "phenoprints"]


def sql_funnel(wells, conditions, quality, rules, seed):
    """By step, the wells that are left, and the conditions among them, in SQL."""
    connection = duckdb.connect()
    draw = wells[["well_id"]].assign(h=hash_uint64(seed, wells["well_id"].to_numpy()))
    for name, table in [("wells", wells), ("conditions", conditions), ("quality", quality),
                        ("draw", draw)]:  # fmt: skip
        connection.register(name, table)
    held = ",".join(f"'{e}'" for e in rules.hold_out) or "''"
    shares = " ".join(
        f"when '{r}' then {int(s * 2.0**64)}" for r, s in rules.sampling_fractions.given().items()
    )
    some = "bool_or" if rules.rare_condition_rule == "any" else "bool_and"
    queries = [
        f"select * from wells where experiment not in ({held})",
        "select w.* from {before} w join quality q using (well_id) where q.verdict <> 'fail'",
        f"""select * from {{before}} where conditions is not null
            and len(list_distinct(conditions)) <= {rules.max_perturbations}""",
        f"""with pairs as (select distinct well_id, experiment, unnest(conditions) c
                           from {{before}}),
            rare as (select c from pairs group by c
                     having count(distinct experiment) < {rules.min_experiments}
                         or count(distinct well_id) < {rules.min_wells}),
            leaves as (select well_id from pairs group by well_id
                       having {some}(c in (select c from rare)))
            select * from {{before}} where well_id not in (select well_id from leaves)""",
        f"""select w.* from {{before}} w join draw d using (well_id)
            where case when role = 'treatment' and len(conditions) > 0 then true
                  else d.h < case (case when role = 'treatment' then 'unperturbed' else role end)
                                  {shares} end end""",
        """with pairs as (select well_id, unnest(conditions) c from {before})
           select * from {before} where (role <> 'treatment' or len(conditions) = 0)
               or well_id in (select well_id from pairs join conditions on c = condition_id
                              where has_phenoprint)""",
    ]
    left, before = {}, ""
    for step, query in zip(STEPS, queries, strict=True):
        table = f"after_{step}"
        connection.execute(f"create table {table} as {query.format(before=before)}")
        ids = connection.execute(f"select well_id from {table}").fetchnumpy()["well_id"]
        seen = f"""select count(distinct c), count(distinct perturbation)
                   from (select unnest(conditions) c from {table}) join conditions
                   on c = condition_id"""
        runs = f"select count(distinct experiment) from {table}"
        left[step] = (
            set(ids.tolist()),
            *connection.execute(seen).fetchone(),
            *connection.execute(runs).fetchone(),
        )
        before = table
    return left


@pytest.mark.parametrize(
    ("seed", "options"),
    [
        (0, {}),
        (1, {"rare_condition_rule": "all", "max_perturbations": 2, "min_wells": 14}),
        (2, {"min_wells": 15, "hold_out": ("e2", "s/e4")}),
        (
            3,
            {
                "sampling_fractions": {
                    "negative_control": 0.5,
                    "positive_control": 0.0,
                    "unperturbed": 1.0,
                }
            },
        ),
    ],
)
def test_every_step_equals_sql(seed, options):
    wells = data.make_wells(seed)
    wells.loc[wells["experiment"] > "e1", "conditions"] = wells["conditions"].map(
        lambda ids: None if ids is None else [i for i in ids if i % 7 != 3]
    )
    quality = data.make_quality(wells)
    phenoprints = data.make_phenoprints(data.make_conditions())
    rules = Rules(**{"min_experiments": 3, "min_wells": 25, **options})
    funnel = curate(wells, phenoprints, rules, quality=quality, seed=seed)
    sql_rules = Rules(
        **{**vars(rules), "hold_out": tuple(e.split("/")[-1] for e in rules.hold_out)}
    )
    expected = sql_funnel(wells, phenoprints, quality, sql_rules, seed)
    gone = set()
    for step in funnel.steps:
        left = funnel.reasons["step"] == step["step"]
        gone |= set(funnel.reasons.loc[left, "well_id"].tolist())
        ids, conditions, perturbations, experiments = expected[step["step"]]
        assert set(wells["well_id"].tolist()) - gone == ids, step["step"]
        assert step["after"]["wells"] == len(ids)
        assert step["after"]["conditions"] == conditions
        assert step["after"]["perturbations"] == perturbations
        assert step["after"]["experiments"] == experiments
        roles = wells[wells["well_id"].isin(ids)].groupby("role").size()
        assert sum(step["after"]["roles"].values()) == roles.sum()
    assert np.array_equal(
        np.sort(wells["well_id"][funnel.is_kept]), np.sort(list(expected["phenoprints"][0]))
    )
    assert 0 < funnel.after["roles"]["treatment"] < funnel.before["roles"]["treatment"]
