"""Which of the files of a site are used: one acquisition, one plane, one time for all channels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from phenoprints.foundations.errors import ConfigurationError, Problem, TableError, raise_problems
from phenoprints.screens.listing import Notes

SITE_KEY = ["plate", "well", "site"]
SHOWN = 5
MAX_CHANNELS = 62


@dataclass(frozen=True)
class Selection:
    """The acquisition, plane and time point that are read, as in the files' names; None: the first.

    The first acquisition is that of each plate, the first time and plane those of each site at
    which all channels were imaged.
    """

    acquisition: str | int | None = None
    plane: str | int | None = None
    time: str | int | None = None


FIRST = Selection()


def natural(text: object) -> tuple[tuple[int, str], ...]:
    """Return a sort key under which numbers in a text count as numbers: `w2` is before `w10`."""
    parts = re.split(r"(\d+)", str(text))
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in parts)


def same(one: object, other: object) -> bool:
    """Return whether two names are equal, as numbers where both are: `01` is 1."""
    a, b = str(one), str(other)
    return int(a) == int(b) if a.isdigit() and b.isdigit() else a == b


def choose(files: pd.DataFrame, selection: Selection, notes: Notes, where: str) -> pd.DataFrame:
    """Return the files of the chosen acquisition, plane and time; the others are counted.

    Where nothing is chosen, each plate keeps its first acquisition, if channels repeat between
    its acquisitions (else they are parts of one). Planes and times are left to `complete_sites`.

    Raises
    ------
    ConfigurationError
        No file has the chosen acquisition, plane or time.
    """
    for axis in ("acquisition", "plane", "time"):
        wanted = getattr(selection, axis)
        if wanted is not None:
            files = _chosen(files, axis, wanted, notes, where)
    if selection.acquisition is None and files["acquisition"].nunique() > 1:
        files = _first_acquisitions(files, notes)
    return files


def _chosen(
    files: pd.DataFrame, axis: str, wanted: object, notes: Notes, where: str
) -> pd.DataFrame:
    there = sorted(files[axis].unique(), key=natural)
    names = [name for name in there if same(name, wanted)]
    if not names:
        what = f"no image has {axis} {wanted!r}"
        expected = f"one of {', '.join(map(str, there[:20]))}"
        raise ConfigurationError(str(Problem(where, what, expected, f"correct `{axis}`")))
    is_kept = files[axis].isin(names)
    if num_other := int((~is_kept).sum()):
        notes.count(f"files_of_other_{axis}s", num_other)
    return files[is_kept]


def _first_acquisitions(files: pd.DataFrame, notes: Notes) -> pd.DataFrame:
    kept, named = [], []
    for plate, own in files.groupby("plate", sort=True):
        there = sorted(own["acquisition"].unique(), key=natural)
        repeats = int(own.groupby("channel")["acquisition"].nunique().max()) > 1
        if len(there) > 1 and repeats:
            named.append(f"{plate}: {', '.join(map(str, there))}")
            own = own[own["acquisition"] == there[0]]
        kept.append(own)
    used = pd.concat(kept)
    if num_other := len(files) - len(used):
        some = "; ".join(named[:SHOWN])
        notes.count("files_of_other_acquisitions", num_other)
        notes.warn(
            f"{num_other} images of further acquisitions are not used (the first of each plate is; "
            f"{some}). Set `acquisition` to read another."
        )
    return used


def complete_sites(
    files: pd.DataFrame, channels: Sequence[str], notes: Notes, where: str
) -> pd.DataFrame:
    """Return, for each site, one file for each channel, all of one time and plane.

    Parameters
    ----------
    files
        plate, well, site, shown (a channel), plane, time, path; wanted channels alone.
    channels
        The channels of a whole site, in order.

    Returns
    -------
    The files of the first time and plane of each site at which all channels were imaged, in the
    order of sites and channels. Sites without such a time and plane are left out and counted,
    with their plates where they lack a channel in most sites.

    Raises
    ------
    TableError
        Two files show the same channel, time and plane of a site; or no site has all channels at
        one time and plane, although its files show all channels.
    """
    rank = {name: i for i, name in enumerate(channels)}
    moments = sorted(
        set(zip(files["time"], files["plane"], strict=True)),
        key=lambda moment: (natural(moment[0]), natural(moment[1])),
    )
    number = {moment: i for i, moment in enumerate(moments)}
    moment = [number[pair] for pair in zip(files["time"], files["plane"], strict=True)]
    table = files.assign(rank=files["shown"].map(rank), moment=moment)
    table = table.sort_values([*SITE_KEY, "moment", "rank"], kind="stable")
    _refuse_twice(table, where)
    is_whole = table.groupby([*SITE_KEY, "moment"])["rank"].transform("size") == len(channels)
    first = table["moment"].where(is_whole).groupby([table[key] for key in SITE_KEY])
    is_used = table["moment"] == first.transform("min")
    is_lost = ~table.set_index(SITE_KEY).index.isin(table[is_used].set_index(SITE_KEY).index)
    _note_lost(table[is_lost], channels, notes, where, has_any=bool(is_used.any()))
    if num_other := int((~is_used & ~is_lost).sum()):
        notes.count("files_of_other_planes", num_other)
        notes.warn(f"{num_other} images of further planes or time points are not used.")
    return table[is_used].drop(columns=["rank", "moment"])


def _refuse_twice(table: pd.DataFrame, where: str) -> None:
    key = [*SITE_KEY, "shown", "time", "plane"]
    twice = table[table.duplicated(key, keep=False)]
    raise_problems(
        Problem(
            where,
            f"plate {plate}, well {well}, site {site}, channel {channel} has {len(rows)} files "
            f"({', '.join(rows['path'].iloc[:2])})",
            "one file",
            "narrow the glob of the screen's images, or name what tells the files apart in a "
            "`pattern` of `source: files` (acquisition, time, plane)",
        )
        for (plate, well, site, channel, *_), rows in twice.groupby(key, sort=True)
    )


def _note_lost(
    lost: pd.DataFrame, channels: Sequence[str], notes: Notes, where: str, *, has_any: bool
) -> None:
    """Count sites without all channels, and those whose channels were never imaged together."""
    if lost.empty:
        return
    num_shown = lost.groupby(SITE_KEY)["shown"].nunique()
    num_apart = int((num_shown == len(channels)).sum())
    num_lacking = len(num_shown) - num_apart
    if num_apart and not has_any:
        example = lost.drop_duplicates("shown")
        pairs = zip(example["shown"], example["time"], example["plane"], strict=True)
        named = ", ".join(f"{name} at time {time}, plane {plane}" for name, time, plane in pairs)
        what = f"no site has all channels at one time and plane ({named})"
        fix = "name the channels that were imaged together in `channel_names`"
        raise TableError(str(Problem(where, what, "one plane and one time a site", fix)))
    if num_apart:
        notes.count("sites_of_several_planes", num_apart)
        notes.warn(f"{num_apart} sites have no plane and time with all channels and are left out.")
    if num_lacking:
        some = _named(lost)
        notes.count("sites_incomplete", num_lacking)
        notes.warn(f"{num_lacking} sites lack a channel and are left out ({some}).")


def _named(files: pd.DataFrame) -> str:
    sites = files[SITE_KEY].drop_duplicates()
    listed = zip(sites["plate"], sites["well"], sites["site"], strict=True)
    names = [f"plate {plate} {well} site {site}" for plate, well, site in listed]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def usual_channels(files: pd.DataFrame) -> list[str]:
    """Return the channels that most sites of most plates have, in natural order.

    Parameters
    ----------
    files
        plate, well, site, shown.

    Of each plate the set of channels that most of its sites have counts once; ties take the
    smaller set, whose channels more sites have.
    """
    names = sorted(files["shown"].unique(), key=natural)
    if len(names) > MAX_CHANNELS:
        what, expected = f"{len(names)} channels", f"at most {MAX_CHANNELS}"
        raise ConfigurationError(str(Problem("images", what, expected, "set `channel_names`")))
    bits = {name: 1 << i for i, name in enumerate(names)}
    once = files.drop_duplicates([*SITE_KEY, "shown"])
    sets = once["shown"].map(bits).groupby([once[key] for key in SITE_KEY], sort=True).sum()
    chosen = _most_frequent(sets.groupby(level="plate", sort=True).agg(_most_frequent))
    return [name for name in names if bits[name] & chosen]


def _most_frequent(sets: pd.Series[Any]) -> int:
    counts = sets.value_counts()
    return int(max(counts.index, key=lambda bits: (counts[bits], -int(bits).bit_count(), -bits)))
