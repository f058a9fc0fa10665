"""What each source's layout means, and the pitfalls that real files expose."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest

from phenoprints.configuration import preset
from phenoprints.foundations.errors import (
    ConfigurationError,
    ImageError,
    MissingInputError,
    TableError,
)
from phenoprints.screens import read
from phenoprints.screens.assembly import conforms
from phenoprints.screens.images import ScreenImages, read_site
from phenoprints.screens.listing import Notes
from phenoprints.screens.preparing import measure_windows
from phenoprints.screens.sources.jump_cp import load_data_sites, local_path
from phenoprints.screens.sources.rxrx3 import CONCENTRATIONS_UM, snapped


def keyed(screen) -> pd.DataFrame:
    """The sites with the well and plate of each."""
    return screen.sites.merge(screen.wells[["well_id", "experiment", "plate", "well"]])


def conditions_reaching(screen, limits: dict, kind: str) -> tuple[int, int]:
    """Treatments of a kind that reach the limits of a preset, and all of them."""
    wells = screen.wells[screen.wells["role"] == "treatment"]
    rows = wells[["experiment", "conditions"]].explode("conditions").dropna()
    kinds = screen.conditions.set_index("condition_id")["kind"]
    rows = rows[kinds.loc[rows["conditions"].astype(int)].to_numpy() == kind]
    grouped = rows.groupby("conditions")["experiment"].agg(["size", "nunique"])
    enough = grouped["size"] >= limits["min_wells"]
    enough &= grouped["nunique"] >= limits["min_experiments"]
    return int(enough.sum()), len(grouped)


def conditions_of(screen) -> dict[str, list[str]]:
    names = screen.conditions.set_index("condition_id")["perturbation"]
    return {
        f"{plate}/{well}": None if listed is None else [names[i] for i in listed]
        for plate, well, listed in zip(
            screen.wells["plate"], screen.wells["well"], screen.wells["conditions"], strict=True
        )
    }


# --- RxRx1 -------------------------------------------------------------------------------------


def test_rxrx1(layouts, tmp_path):
    screen = read({"source": "rxrx1", "root": str(layouts.rxrx1(tmp_path))})
    counts = screen.notes["counts"]
    assert (counts["wells"], counts["sites"], counts["unperturbed"]) == (9, 18, 3)
    assert set(screen.conditions["kind"]) == {"sirna"}
    assert set(screen.wells["replicate_group"]) == {"HUVEC", "RPE"}
    row = keyed(screen).query("experiment == 'HUVEC-02' and well == 'B03' and site == 2").iloc[0]
    site = read_site(tmp_path, row["locator"], row["channels"])
    expected = [layouts.pixels("HUVEC-02", "B03", 2, c) for c in range(1, 7)]
    assert (site == np.stack(expected)).all()


def test_rxrx1_channels_are_chosen_and_ordered_by_name(layouts, tmp_path):
    root = str(layouts.rxrx1(tmp_path))
    screen = read({"source": "rxrx1", "root": root, "channel_names": ["Mito", "DNA"]})
    row = keyed(screen).iloc[0]
    site = read_site(tmp_path, row["locator"], row["channels"])
    assert (site[1] == layouts.pixels(row["experiment"], row["well"], row["site"], 1)).all()
    assert (site[0] == layouts.pixels(row["experiment"], row["well"], row["site"], 5)).all()
    with pytest.raises(ConfigurationError, match='no image shows the channel "GFP"'):
        read({"source": "rxrx1", "root": root, "channel_names": ["GFP"]})


def test_rxrx1_counts_missing_files_and_refuses_merged_images(layouts, tmp_path):
    root = layouts.rxrx1(tmp_path)
    (root / "images/HUVEC-01/Plate1/B03_s1_w4.png").unlink()
    screen = read({"source": "rxrx1", "root": str(root)})
    assert screen.notes["counts"]["sites_without_files"] == 1
    assert "1 of 18 sites have no images" in screen.notes["warnings"][0]
    (root / "images/HUVEC-01/Plate1/B02_s1.png").write_bytes(b"")
    with pytest.raises(ImageError, match="merged into one RGB file"):
        read({"source": "rxrx1", "root": str(root)})


def test_rxrx1_rows_that_contradict_each_other_are_named(layouts, tmp_path):
    table = layouts.rxrx1(tmp_path) / "metadata.csv"
    table.write_text(table.read_text() + layouts.rxrx1_rows()[2].replace("s1174", "s9") + "\n")
    with pytest.raises(TableError) as caught:
        read({"source": "rxrx1", "root": str(tmp_path)})
    assert "well HUVEC-01_1_B03 is described in 2 ways" in str(caught.value)
    assert "site HUVEC-01_1_B03_1 stands in 2 rows" in str(caught.value)


def test_rxrx1_sites_are_whole_numbers(layouts, tmp_path):
    table = layouts.rxrx1(tmp_path) / "metadata.csv"
    table.write_text(table.read_text().replace(",B03,1,", ",B03,one,"))
    with pytest.raises(TableError, match=r'column "site": "one"\. 3 rows have this error'):
        read({"source": "rxrx1", "root": str(tmp_path)})


# --- RxRx3 and RxRx3-core ----------------------------------------------------------------------


@pytest.mark.parametrize("source", ["rxrx3", "rxrx3-core"])
def test_rxrx3(source, layouts, tmp_path):
    root = {"rxrx3": layouts.rxrx3, "rxrx3-core": layouts.rxrx3_core}[source](tmp_path)
    screen = read({"source": source, "root": str(root)})
    wells, conditions = screen.wells, screen.conditions.set_index("perturbation")
    role = dict(zip(wells["experiment"] + "/" + wells["well"], wells["role"], strict=True))
    # Pitfall 15: a control is named in gene, in treatment, or in both.
    assert role["gene-001/B02"] == role["compound-001/D22"] == "unperturbed"
    assert role["compound-001/D23"] == "negative_control"
    assert role["gene-003/A02"] == ("negative_control" if source == "rxrx3-core" else "treatment")
    # Symbols may hold hyphens and underscores.
    assert conditions.loc["HLA-A_guide_1", "gene"] == "HLA-A"
    assert conditions.loc["ABC_1_guide_12", "gene"] == "ABC_1"
    assert conditions.loc["RPLP2_guide_4", "guide"] == "RPLP2_guide_4"
    assert pd.isna(conditions.loc["CRISPR_control", "gene"])
    # Pitfalls 10 and 11: 0.26 is 0.25, and SMILES lose their tail.
    assert conditions.loc["Dequalinium", "concentration_um"] == 0.25
    assert conditions.loc["Dequalinium", "smiles"] == "CC1=C(N)C"
    assert screen.notes["counts"]["concentrations_snapped"] == 1
    groups = wells.groupby("experiment")["replicate_group"].first()
    assert groups["gene-001"] == groups["gene-002"] == "gene-001"
    assert groups["gene-003"] == groups["compound-001"] == ""
    assert screen.notes["counts"]["sites"] == 10
    row = keyed(screen).query("well == 'AF48'").iloc[0]
    site = read_site(tmp_path, row["locator"], row["channels"])
    depth = "uint16" if source == "rxrx3" else "uint8"
    expected = [layouts.pixels("gene-001", "AF48", c, dtype=depth) for c in range(1, 7)]
    assert (site == np.stack(expected)).all()


def test_doses_are_snapped_only_when_they_are_near():
    texts = pd.Series(["0.002", "0.026", "0.26", "2.6", "10", None, "3", "0.005"], dtype=object)
    doses = snapped(texts, pd.DataFrame({"a": texts}), "x.csv", Notes())
    assert doses.tolist()[:5] == [0.0025, 0.025, 0.25, 2.5, 10.0]
    assert np.isnan(doses[5])
    assert doses.tolist()[6:] == [2.5 if abs(3 - 2.5) <= 0.21 * 2.5 else 3.0, 0.005]
    assert set(CONCENTRATIONS_UM) >= {0.0025, 10.0}


def test_rxrx3_without_images_and_with_absent_ones(layouts, tmp_path):
    root = layouts.rxrx3(tmp_path)
    screen = read({"source": "rxrx3", "root": str(root), "images": None})
    assert len(screen.sites) == 0
    (root / "images/gene-001/Plate1/A01_s1_w6.png").unlink()
    screen = read({"source": "rxrx3", "root": str(root)})
    assert screen.notes["counts"]["wells_without_files"] == 1


def test_rxrx3_core_counts_images_without_wells_and_wells_without_images(layouts, tmp_path):
    table = layouts.rxrx3_core(tmp_path) / "metadata_rxrx3_core.csv"
    lines = table.read_text().splitlines()
    extra = lines[1].replace("A01", "B40")
    table.write_text("\n".join([lines[0], *lines[2:], extra]) + "\n")
    counts = read({"source": "rxrx3-core", "root": str(tmp_path)}).notes["counts"]
    assert (counts["images_without_wells"], counts["wells_without_images"]) == (1, 1)


def test_rxrx3_core_names_shards_that_hold_the_same_images(layouts, tmp_path):
    shard = layouts.rxrx3_core(tmp_path) / "data/train-00000-of-00002.parquet"
    shutil.copy(shard, shard.with_name("copy.parquet"))
    expected = (
        r"copy\.parquet: it lists 27 images that data/train-00000.* too \(compound-001/Plate19"
    )
    with pytest.raises(TableError, match=expected):
        read({"source": "rxrx3-core", "root": str(tmp_path)})


# --- JUMP --------------------------------------------------------------------------------------


def jump_config(root, **changes) -> dict:
    config = {"source": "jump-cp", "root": str(root), "images": "gallery"}
    return {**config, "load_data": "load_data_csv/*/*/load_data*", **changes}


def test_jump_tables(layouts, tmp_path):
    screen = read(jump_config(layouts.jump(tmp_path)))
    assert conditions_of(screen) == {
        "007/A01": ["JCP2022_000001"], "007/A02": ["JCP2022_033924"], "007/A03": [],
        "007/B01": None, "007/B02": ["JCP2022_900002"], "007/B03": ["JCP2022_805264"],
    }  # fmt: skip
    roles = screen.wells["role"].tolist()
    assert roles[:3] == ["treatment", "negative_control", "unperturbed"]
    assert roles[3:] == ["treatment", "treatment", "positive_control"]
    kinds = screen.conditions.set_index("perturbation")
    assert kinds["kind"].to_dict() == {
        "JCP2022_000001": "compound", "JCP2022_033924": "compound",
        "JCP2022_805264": "crispr", "JCP2022_900002": "orf",
    }  # fmt: skip
    assert kinds.loc["JCP2022_900002", "gene"] == "NAT1"
    assert screen.notes["counts"]["plates_missing"] == 1
    assert screen.extras["left_out"]["reason"].tolist() == ["plate_missing"]
    assert any("the table compound is not there" in text for text in screen.notes["warnings"])
    assert screen.notes["counts"]["wells_without_files"] == 2
    by_source = read(jump_config(tmp_path, experiment="source", load_data=None))
    assert set(by_source.wells["experiment"]) == {"source_4"}
    with pytest.raises(TableError, match="the screen has no wells"):
        read(jump_config(tmp_path, load_data=None, plate_types=["ORF"]))


def test_jump_sites_of_two_load_data_files_are_an_error_that_names_both(layouts, tmp_path):
    root = layouts.jump(tmp_path)
    (parquet,) = root.glob("load_data_csv/*/*/*.parquet")
    csv = parquet.with_name("load_data.csv")
    pd.read_parquet(parquet).to_csv(csv, index=False)
    with pytest.raises(TableError) as caught:
        read(jump_config(root))
    assert str(caught.value) == (
        f"{csv}: it lists 8 sites that {parquet} lists too (plate 007, well A01, site 1; "
        "plate 007, well A01, site 2; plate 007, well A02, site 1; …)\n"
        "  Expected each of them once.\n"
        "  To fix: narrow the glob of the screen's images so that it matches one file for each "
        "plate."
    )
    csv.unlink()
    table = pd.read_parquet(parquet)
    pd.concat([table, table.head(1)]).to_parquet(parquet)
    with pytest.raises(TableError, match=r"it lists 1 sites more than once .*site 1\)") as caught:
        read(jump_config(root))
    assert str(parquet) in str(caught.value)
    assert "To fix: delete the surplus rows" in str(caught.value)


@pytest.mark.parametrize("illumination", [True, False])
def test_jump_images_are_corrected_and_ordered_by_name(illumination, layouts, tmp_path):
    config = jump_config(layouts.jump(tmp_path), illumination=illumination)
    screen = read({**config, "channel_names": ["Mito", "DNA"]})
    for row in keyed(screen).to_dict("records"):
        site = read_site(tmp_path, row["locator"], row["channels"], shape=layouts.SHAPE)
        place = ("AB".index(row["well"][0]) + 1, int(row["well"][1:]), row["site"])
        for plane, channel in zip(site, ("Mito", "DNA"), strict=True):
            raw = layouts.pixels("007", *place, channel, dtype="uint16")
            expected = np.rint(raw / 2.0) if illumination else raw
            assert (plane == expected).all()


def test_addresses_of_load_data_become_paths_below_the_root():
    bucket = "s3://cellpainting-gallery/cpg0016-jump/a b/x.tiff"
    assert local_path(bucket, ".") == "cpg0016-jump/a b/x.tiff"
    url = "https://cellpainting-gallery.s3.amazonaws.com/cpg0016-jump/a%20b/x.tiff"
    assert local_path(url, "gallery") == "gallery/cpg0016-jump/a b/x.tiff"
    assert local_path("folder/x.tiff", ".") == "folder/x.tiff"


@pytest.mark.data
def test_the_real_load_data_files(test_data):
    folder = test_data / "metadata/load_data_csv"
    path, options = folder / "test_BR00126114_load_data_with_illum.parquet", {"notes": Notes()}
    sites = load_data_sites(path, ".", ["DNA", "Mito"], illumination=True, **options)
    assert len(sites) == 2
    first = sites["locator"][0]
    assert "2021_08_23_Batch12/images/BR00126114__2021-09-01T15_39_48-Measurement1/Images/" in first
    assert "Images//" not in first
    assert "r01c01f01p01-ch5sk1fk1fl1.tiff" in first
    assert "illum/BR00126114/BR00126114_IllumDNA.npy" in first
    path = folder / "BR00143976_concatenated.csv.gz"
    sites = load_data_sites(path, ".", [], illumination=True, **options)
    assert len(sites) == 2160
    assert sites["channels"][0] == ["ER", "RNA", "AGP", "Mito", "Brightfield", "DNA"]
    assert "Measurement 2/Images/r03c03f01p01" in sites["locator"][0]
    assert set(sites["well"].str.len()) == {3}


@pytest.mark.data
def test_the_real_jump_wells(test_data, tmp_path):
    (tmp_path / "metadata").symlink_to(test_data / "metadata/jump_cpg0016")
    screen = read({"source": "jump-cp", "root": str(tmp_path), "sources": ["source_4"]})
    counts = screen.notes["counts"]
    wells = pd.read_csv(test_data / "metadata/jump_cpg0016/well_2022-12-21.csv.gz", dtype=str)
    num = int((wells["Metadata_Source"] == "source_4").sum())
    assert counts["wells"] + counts["wells_left_out"] == num
    assert counts["wells_left_out"] == 4 * 384
    assert counts["plates_missing"] == 4
    assert set(screen.conditions["kind"]) == {"orf", "compound"}
    orfs = screen.conditions[screen.conditions["kind"] == "orf"]
    assert orfs["gene"].notna().mean() > 0.99


@pytest.mark.data
@pytest.mark.slow
def test_all_real_jump_wells(test_data, tmp_path):
    (tmp_path / "metadata").symlink_to(test_data / "metadata/jump_cpg0016")
    screen = read({"source": "jump-cp", "root": str(tmp_path)})
    conforms(screen)
    assert screen.notes["counts"]["wells"] == 742_825 - 1_920
    assert screen.notes["counts"]["wells_left_out"] == 1_920
    assert screen.notes["counts"]["plates_missing"] == 5
    reached = conditions_reaching(screen, preset("jump-compound")["compound"], "compound")
    assert reached == (110_232, 112_583)
    assert conditions_reaching(screen, preset("paper")["compound"], "compound")[0] < 300


# --- Harmony, Yokogawa, ImageXpress, OME-Zarr --------------------------------------------------


def harmony_config(layouts, root, **changes) -> dict:
    return {"source": "harmony", "root": str(root), "channels": layouts.CHANNEL_MAP,
            **layouts.TABLE, **changes}  # fmt: skip


@pytest.mark.parametrize("version", ["V5", "V6", "V7"])
def test_harmony(version, layouts, tmp_path):
    root = layouts.harmony(tmp_path, version=version)
    config = harmony_config(layouts, root, channel_names=["DNA", "AGP", "Mito"])
    screen = read(config)
    counts = screen.notes["counts"]
    assert (counts["wells"], counts["sites"]) == (4, 6)
    assert (counts["files_without_wells"], counts["wells_without_files"]) == (2, 1)
    assert screen.notes["geometry"] == {
        "height_px": 20,
        "width_px": 24,
        "channels": ["DNA", "AGP", "Mito"],
    }
    row = keyed(screen).query("plate == 'BR2' and site == 1").iloc[0]
    site = read_site(root, row["locator"], row["channels"], shape=layouts.SHAPE)
    expected = [layouts.pixels(2, 3, 3, 1, c, dtype="uint16") for c in (5, 2, 1)]
    assert (site == np.stack(expected)).all()
    assert conditions_of(screen)["BR1/C04"] == ["DMSO"]


def test_harmony_channels_that_no_image_shows_are_named(layouts, tmp_path):
    root = layouts.harmony(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        read(harmony_config(layouts, root, channels={"DAPI": "DNA", "Alexa 568": "AGP"}))
    assert 'no image shows the channel "DAPI"' in str(caught.value)
    assert "one of Alexa 568, Alexa 647, HOECHST 33342" in str(caught.value)


def test_harmony_indexes_of_one_folder_count_once(layouts, tmp_path):
    root = layouts.harmony(tmp_path)
    for folder in root.glob("*/Images"):
        (folder / "Index.ref.xml").write_text((folder / "Index.idx.xml").read_text())
    assert len(read(harmony_config(layouts, root)).sites) == 6


def test_a_second_measurement_of_a_plate_is_read_by_setting(layouts, tmp_path):
    root = layouts.harmony(tmp_path)
    one = next(root.glob("BR1*"))
    shutil.copytree(one, root / "BR1__2024-07-05T16_04_45-Measurement 3")
    screen = read(harmony_config(layouts, root))
    assert screen.notes["counts"]["files_of_other_acquisitions"] == 12
    assert not any("Measurement 3" in locator for locator in screen.sites["locator"])
    later = read(harmony_config(layouts, root, acquisition=3))
    assert all("Measurement 3" in locator for locator in later.sites["locator"])
    with pytest.raises(
        ConfigurationError, match=r"no image has acquisition 7\n  Expected one of 1"
    ):
        read(harmony_config(layouts, root, acquisition=7))


def test_a_plate_exported_twice_is_named(layouts, tmp_path):
    root = layouts.harmony(tmp_path)
    one = next(root.glob("BR1*"))
    shutil.copytree(one, root / "copy" / one.name)
    with pytest.raises(TableError, match=r"plate BR1, well C03, site 1, channel .* has 2 files"):
        read(harmony_config(layouts, root))


def test_harmony_without_a_table_or_an_index(layouts, tmp_path):
    root = layouts.harmony(tmp_path)
    config = {"source": "harmony", "root": str(root), "exports": "*/Images/*.tiff"}
    screen = read({**config, "channels": {"ch5": "DNA", "ch1": "Mito"}})
    assert set(screen.wells["plate"]) == {"BR1", "BR2"}
    assert screen.notes["counts"]["wells_of_unknown_perturbation"] == len(screen.wells)
    assert screen.notes["counts"]["files_of_other_channels"] == 8
    assert screen.sites["channels"][0] == ["Mito", "DNA"]


@pytest.mark.data
def test_the_real_jump_images(test_data):
    root = test_data / "images/jump_cpg0000_phenix"
    config = {
        "source": "harmony", "root": str(root), "exports": "*/*.tiff",
        "channels": {"ch5": "DNA", "ch4": "ER", "ch3": "RNA", "ch2": "AGP", "ch1": "Mito"},
        "channel_names": ["DNA", "ER", "RNA", "AGP", "Mito"],
    }  # fmt: skip
    screen = read(config)
    assert sorted(screen.wells["plate"] + "/" + screen.wells["well"]) == [
        "AMG900/N09", "DMSO/D14", "FK-866/D08", "FK-866/L09"
    ]  # fmt: skip
    assert screen.notes["counts"]["files_of_other_channels"] == 1  # brightfield of DMSO
    assert (screen.notes["geometry"]["height_px"], len(screen.sites)) == (1080, 4)
    sites = keyed(screen)
    chosen = measure_windows(str(root), sites, [0.1, 99.9])
    row = sites.query("plate == 'DMSO'").iloc[0]
    pixels = ScreenImages(str(root), chosen).read(
        row["locator"], row["channels"], experiment=row["experiment"], shape=(1080, 1080)
    )
    assert pixels.shape == (5, 1080, 1080)
    assert 5 < pixels.mean() < 120
    assert 0.0005 < (pixels == 255).mean() < 0.005
    raw = read_site(root, row["locator"], row["channels"])
    low, high = chosen["DMSO"]["DNA"]
    assert pixels[0][raw[0] <= low].max() == 0
    assert pixels[0][raw[0] >= high].min() == 255


def test_yokogawa_takes_the_plate_of_the_file_and_the_first_plane(layouts, tmp_path):
    root = layouts.yokogawa(tmp_path)
    config = {"source": "yokogawa", "root": str(root), "channels": {"C03": "DNA"}, **layouts.TABLE}
    screen = read(config)
    assert set(screen.wells["plate"]) == {"BR1"}
    assert screen.notes["counts"]["files_of_other_planes"] == 4
    row = keyed(screen).iloc[-1]
    assert (row["well"], row["site"]) == ("C04", 2)
    site = read_site(root, row["locator"], ["DNA"])
    assert (site[0] == layouts.pixels("C04", 2, 3, 1, dtype="uint16")).all()


def test_imagexpress_reads_one_digit_of_the_channel_and_skips_thumbnails(layouts, tmp_path):
    root = layouts.imagexpress(tmp_path)
    screen = read({"source": "imagexpress", "root": str(root), **layouts.TABLE})
    assert screen.sites["channels"][0] == ["w1", "w2", "w3"]
    assert screen.notes["counts"]["files_of_other_names"] == 2
    assert len(screen.sites) == 4


def test_files_that_are_named_otherwise_are_an_error(layouts, tmp_path):
    (tmp_path / "a_s1_w1.tif").write_bytes(b"")
    with pytest.raises(TableError, match="no image is named like HTS_A01_s1_w1"):
        read({"source": "imagexpress", "root": str(tmp_path)})
    with pytest.raises(TableError, match=r"no image is named like .* contains a_s1_w1.tif"):
        read({"source": "yokogawa", "root": str(tmp_path)})
    with pytest.raises(MissingInputError, match="no file matches"):
        read({"source": "yokogawa", "root": str(tmp_path), "images": "*.png"})


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr(version, layouts, tmp_path):
    root = layouts.ome_zarr(tmp_path, version=version)
    config = {"source": "ome-zarr", "root": str(root), "channels": layouts.CHANNEL_MAP,
              "channel_names": ["Mito", "DNA"], **layouts.TABLE}  # fmt: skip
    screen = read(config)
    row = keyed(screen).query("well == 'C04' and site == 2").iloc[0]
    site = read_site(root, row["locator"], row["channels"], shape=layouts.SHAPE)
    expected = [layouts.pixels("C/4", 1, c, dtype="uint16") for c in (2, 0)]
    assert (site == np.stack(expected)).all()


def test_plates_of_ome_zarr_of_one_name_are_an_error_that_names_both(layouts, tmp_path):
    root = layouts.ome_zarr(tmp_path)
    shutil.copytree(root / "BR1.zarr", root / "copy.zarr")
    with pytest.raises(
        TableError, match=r"BR1\.zarr: it lists 4 sites that .*copy\.zarr lists too"
    ):
        read({"source": "ome-zarr", "root": str(root), **layouts.TABLE})


def test_a_broken_plate_of_ome_zarr_is_named(layouts, tmp_path):
    root = layouts.ome_zarr(tmp_path)
    (root / "BR1.zarr/C/3/zarr.json").write_text('{"attributes": {"ome": {}}}')
    with pytest.raises(TableError, match=r"BR1.zarr: not a plate of OME-NGFF"):
        read({"source": "ome-zarr", "root": str(root), **layouts.TABLE})
    with pytest.raises(MissingInputError, match="no plate matches"):
        read({"source": "ome-zarr", "root": str(root), "images": "*.none"})


# --- Platemaps, planned screens, pitfalls ------------------------------------------------------


def test_platemaps_in_place_of_a_table_and_beside_one(tmp_path):
    (tmp_path / "barcode_platemap.csv").write_text(
        "Assay_Plate_Barcode,Plate_Map_Name\nP1,map one\nP2,map one\n"
    )
    (tmp_path / "platemap").mkdir()
    (tmp_path / "platemap/map one.txt").write_text(
        "plate_map_name\twell_position\tbroad_sample\tmmoles_per_liter\n"
        "map one\ta1\tBRD-1\t5\nmap one\ta2\tBRD-2\t5\n"
    )
    config = {"source": "profiles-table", "root": str(tmp_path),
              "barcode_platemap": "barcode_platemap.csv"}  # fmt: skip
    screen = read({**config, "columns": {"experiment": {"value": "b"}}})
    assert conditions_of(screen)["P2/A02"] == ["BRD-2"]
    assert len(screen.wells) == 4
    assert len(screen.inputs) == 2
    (tmp_path / "wells.csv").write_text(
        "Metadata_Batch,Metadata_Plate,Metadata_Well\nb,P2,A01\nb,P1,A02\n"
    )
    screen = read({**config, "wells": "wells.csv"})
    assert conditions_of(screen) == {"P1/A02": ["BRD-2"], "P2/A01": ["BRD-1"]}
    (tmp_path / "platemap/map one.txt").unlink()
    with pytest.raises(MissingInputError, match='the platemap "map one" of 2 plates is not there'):
        read({**config, "wells": "wells.csv"})


@pytest.mark.data
def test_the_real_pilot_metadata_by_recognised_names(test_data):
    config = {
        "source": "profiles-table",
        "root": str(test_data / "metadata/jump_cpg0000"),
        "wells": "cpjump1_metadata.csv.gz",
        "columns": {"experiment": {"value": "2020_11_04_CPJUMP1"}},
    }
    screen = read(config)
    counts = screen.notes["counts"]
    assert (counts["wells"], counts["plates"]) == (15_275, 40)
    assert set(screen.wells["cell_type"]) == {"A549", "U2OS"}
    assert counts["negative_control"] == 2450
    assert counts["positive_control"] == 1112 + 1038 + 238
    assert set(screen.conditions["kind"]) == {"crispr", "compound", "orf"}


def test_a_planned_screen_cannot_be_read():
    config = {"source": "planned", "experiments": 3, "num_wells": 1_000_000}
    with pytest.raises(ConfigurationError, match=r"only counts \(1,000,000 wells\)"):
        read(config, name="large")


def test_words_that_differ_by_case_are_one(tmp_path):  # pitfall 9
    rows = ["b,p,w,d,r", "e,1,A1,x,pass", "e,1,A2,y,Pass", "e,1,A3,z,Treatment"]
    (tmp_path / "w.csv").write_text("\n".join(rows))
    columns = dict(
        zip(["experiment", "plate", "well", "perturbation", "role"], "bpwdr", strict=True)
    )
    config = {"source": "profiles-table", "root": str(tmp_path), "wells": "w.csv"}
    screen = read({**config, "columns": columns, "roles": {"pass": "treatment"}})
    assert set(screen.wells["role"]) == {"treatment"}


def test_values_that_mean_nothing_is_known(tmp_path):  # pitfall 17
    (tmp_path / "w.csv").write_text("b,p,w,d\ne,1,A1,Not listed\ne,1,A2,unknown\n")
    columns = dict(zip(["experiment", "plate", "well", "perturbation"], "bpwd", strict=True))
    config = {"source": "profiles-table", "root": str(tmp_path), "wells": "w.csv"}
    found = conditions_of(read({**config, "columns": columns}))
    assert found == {"1/A01": None, "1/A02": ["unknown"]}
    found = conditions_of(read({**config, "columns": columns, "missing_values": ["unknown"]}))
    assert found == {"1/A01": ["Not listed"], "1/A02": None}


def test_a_load_data_row_without_an_address_is_left_out_and_counted(layouts, tmp_path):
    root = layouts.jump(tmp_path, form="url")
    file = next(root.glob("load_data_csv/*/*/load_data.csv"))
    table = pd.read_csv(file, dtype=str)
    table.loc[1, "URL_OrigER"] = None
    table.to_csv(file, index=False)
    pattern = "load_data_csv/*/*/load_data*"
    screen = read(
        {"source": "jump-cp", "root": str(root), "load_data": pattern, "images": "gallery"}
    )
    assert len(screen.sites) == 7
    assert screen.notes["counts"]["sites_incomplete"] == 1
    assert any("(line 3)" in text for text in screen.notes["warnings"])
