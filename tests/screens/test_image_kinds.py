"""Image folders as people have them: each kind that once failed, written anew and read rightly."""

from __future__ import annotations

import json
import shutil
from unicodedata import normalize

import imagecodecs
import numpy as np
import pytest
import tifffile

from phenoprints.foundations.errors import ConfigurationError, ImageError, TableError
from phenoprints.screens import read
from phenoprints.screens.images import read_site

SIDE = 40
WELLS = [f"A{column:02d}" for column in range(1, 5)]
COLUMNS = {"experiment": "batch", "plate": "plate", "well": "well", "perturbation": "compound"}


def image(*key: object) -> np.ndarray:
    seed = sum((i + 1) * ord(c) for i, c in enumerate("/".join(map(str, key))))
    return np.random.default_rng(seed).integers(1, 4000, (SIDE, SIDE)).astype(np.uint16)


def write(path, pixels=None, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, image(path.name) if pixels is None else pixels, **options)


def table(root, plates=("P1",), wells=WELLS) -> None:
    rows = [f"b1,{plate},{well},x{well}" for plate in plates for well in wells]
    root.mkdir(parents=True, exist_ok=True)
    (root / "wells.csv").write_text("\n".join(["batch,plate,well,compound", *rows]) + "\n")


def screen_of(root, source="imagexpress", **settings):
    given = {"wells": "wells.csv", "columns": COLUMNS, **settings}
    return read({"source": source, "root": str(root), **given})


def pixels_of(root, screen, row=0) -> np.ndarray:
    site = screen.sites.iloc[row]
    return read_site(root, site["locator"], site["channels"], shape=(SIDE, SIDE))


NAMES = {
    "upper-case suffix": "P1/TimePoint_1/99_{well}_s1_w{c}.TIF",
    "no site": "P1/TimePoint_1/x_{well}_w{c}.tif",
    "a place within the well": "P1/x_{well}.a1_s1_w{c}.tif",
    "lower-case archive names": "P1/cdp2_{lower}_s1_w{c}07447158-AC92-4844-8417-8E8C6A3B36A6.tif",
    "a numbered prefix": "P1/Images/Week1_150607_{well}_s1_w{c}.tif",
}


@pytest.mark.parametrize("kind", NAMES)
def test_imagexpress_names(kind, tmp_path):
    table(tmp_path)
    for well in WELLS:
        for c in (1, 2):
            name = NAMES[kind].format(well=well, lower=well.lower(), c=c)
            write(tmp_path / name, image(well, c))
    screen = screen_of(tmp_path)
    assert screen.sites["channels"].tolist() == [["w1", "w2"]] * 4
    assert (pixels_of(tmp_path, screen, 2)[1] == image("A03", 2)).all()


def test_one_channel_and_one_site_need_neither(tmp_path):
    table(tmp_path)
    for well in WELLS:
        write(tmp_path / f"P1/x_{well}.tif")
    assert screen_of(tmp_path).sites["channels"].tolist() == [["w1"]] * 4


def test_folders_of_times_and_planes_are_no_plates(tmp_path):
    table(tmp_path, plates=("P1", "P2"))
    for plate in ("P1", "P2"):
        for time in (1, 2):
            for plane in (1, 2, 10):
                for well in WELLS:
                    folder = tmp_path / plate / f"TimePoint_{time}/ZStep_{plane}"
                    write(folder / f"x_{well}_s1_w1.tif", image(plate, well, time, plane))
    screen = screen_of(tmp_path)
    assert len(screen.sites) == 8
    assert screen.notes["counts"]["files_of_other_planes"] == 8 * 5
    assert (pixels_of(tmp_path, screen)[0] == image("P1", "A01", 1, 1)).all()
    later = screen_of(tmp_path, time=2, plane="10")
    assert (pixels_of(tmp_path, later)[0] == image("P1", "A01", 2, 10)).all()
    with pytest.raises(
        ConfigurationError, match=r"no image has plane 3\n  Expected one of 1, 2, 10"
    ):
        screen_of(tmp_path, plane=3)


PATTERNS = {
    "Incucyte": ("P1/MiaPaCa2-Phase_{well}_1_00d0{t}h00m.tif",
                 r".*_(?P<well>[A-H]\d+)_(?P<site>\d+)_(?P<time>\w+)\.tif"),
    "Cellomics": ("P1/MFGTMP_14032719_{well}f00d{t}.TIF",
                  r"MFGTMP_\d+_(?P<well>[A-P]\d\d)f(?P<site>\d\d)d(?P<time>\d)\.tif"),
    "rows and columns": ("any/P1_r{row}c{column}_t{t}.tif",
                         r"(?P<plate>\w+)_r(?P<row>\d+)c(?P<column>\d+)_t(?P<time>\d)\.tif"),
    "letters and columns": ("P1/Channel1-{row}-A-{column}_{t}.tif",
                            r"Channel\d-\d+-(?P<row>[A-H])-(?P<column>\d\d)_(?P<time>\d)\.tif"),
    "plate and channel in a folder": ("P1-ERSyto/x_{well}_{t}.tif",
                                      r"(?P<plate>\w+)-(?P<channel>\w+)/x_(?P<well>\w+?)_"
                                      r"(?P<time>\d)\.tif"),
}  # fmt: skip


@pytest.mark.parametrize("kind", PATTERNS)
def test_the_users_own_pattern(kind, tmp_path):
    name, pattern = PATTERNS[kind]
    table(tmp_path)
    for column, well in enumerate(WELLS, start=1):
        for t in (0, 6):
            write(
                tmp_path / name.format(well=well, row=1, column=f"{column:02d}", t=t),
                image(well, t),
            )
    screen = screen_of(tmp_path, "files", pattern=pattern)
    assert screen.wells["well"].tolist() == WELLS
    assert screen.notes["counts"]["files_of_other_planes"] == 4
    assert (pixels_of(tmp_path, screen, 3)[0] == image("A04", 0)).all()


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        (r"(?P<well>", "is not valid"),
        (r"(?P<site>\d)\.tif", "no group names the well"),
        (r"(?P<well>\w+)_(?P<stain>\w+)\.tif", r"no meaning for \(\?P<stain>\)"),
        (r"Z(?P<well>\w+)\.tif", r"no image is named like .*; it contains A01\.tif"),
    ],
)
def test_patterns_that_cannot_work_are_refused(pattern, said, tmp_path):
    table(tmp_path)
    write(tmp_path / "P1/A01.tif")
    with pytest.raises((ConfigurationError, TableError), match=said):
        screen_of(tmp_path, "files", pattern=pattern)


def test_the_plate_may_be_a_setting_and_sites_may_have_names(tmp_path):
    for well in WELLS:
        for site in ("left", "right"):
            write(tmp_path / f"{well}_{site}.tif", image(well, site))
    pattern = r"(?P<well>[A-H]\d\d)_(?P<site>\w+)\.tif"
    screen = read({"source": "files", "root": str(tmp_path), "pattern": pattern, "plate": "P7"})
    assert set(screen.wells["plate"]) == {"P7"}
    assert screen.sites["site"].tolist() == [1, 2] * 4
    assert any("1 is left, 2 is right" in text for text in screen.notes["warnings"])
    assert (pixels_of(tmp_path, screen, 1)[0] == image("A01", "right")).all()
    unnamed = read({"source": "files", "root": str(tmp_path), "pattern": pattern})
    assert set(unnamed.wells["plate"]) == {tmp_path.name}


def test_odd_sites_are_left_out_and_never_the_others(tmp_path):
    table(tmp_path, plates=("P1", "P2"))
    for plate, channels in (("P1", (1, 2)), ("P2", (1, 2))):
        for well in WELLS:
            for c in channels:
                write(tmp_path / plate / f"x_{well}_s1_w{c}.tif")
    write(tmp_path / "P1/x_A01_s1_w3.tif")
    (tmp_path / "P2/x_A04_s1_w2.tif").unlink()
    screen = screen_of(tmp_path)
    assert screen.sites["channels"].tolist() == [["w1", "w2"]] * 7
    counts = screen.notes["counts"]
    assert (counts["files_of_other_channels"], counts["sites_incomplete"]) == (1, 1)
    assert any("plate P2 A04 site 1" in text for text in screen.notes["warnings"])


def cycles(root, other: str) -> None:
    table(root)
    for well in WELLS:
        for cycle, channels in ((1, "DA"), (2, other)):
            for c in channels:
                write(root / f"P1/cycle{cycle}/{well}_{c}.tif", image(well, cycle, c))


PATTERN = r"(?P<plate>\w+)/cycle(?P<acquisition>\d)/(?P<well>\w+)_(?P<channel>\w)\.tif"


def test_staining_cycles_are_separate_and_chosen(tmp_path):
    cycles(tmp_path, "DB")
    screen = screen_of(tmp_path, "files", pattern=PATTERN)
    assert screen.sites["channels"][0] == ["A", "D"]
    assert screen.notes["counts"]["files_of_other_acquisitions"] == 8
    second = screen_of(tmp_path, "files", pattern=PATTERN, acquisition=2)
    assert second.sites["channels"][0] == ["B", "D"]
    assert (pixels_of(tmp_path, second)[1] == image("A01", 2, "D")).all()


def test_acquisitions_of_different_channels_are_one(tmp_path):
    cycles(tmp_path, "BC")
    screen = screen_of(tmp_path, "files", pattern=PATTERN)
    assert screen.sites["channels"][0] == ["A", "B", "C", "D"]


PLANES = r"(?P<well>\w+)_z(?P<plane>\d)_(?P<channel>\w)\.tif"


def test_a_site_is_one_plane_for_all_channels(tmp_path):
    table(tmp_path)
    for well in WELLS:
        for c in "DE":
            for plane in (1, 2) if (well, c) != ("A03", "E") else (2,):
                write(tmp_path / f"P1/{well}_z{plane}_{c}.tif", image(well, plane, c))
    (tmp_path / "P1/A04_z1_D.tif").unlink()
    (tmp_path / "P1/A04_z2_E.tif").unlink()
    screen = screen_of(tmp_path, "files", pattern=PLANES)
    assert len(screen.sites) == 3
    planes = [2 if "A03" in locator else 1 for locator in screen.sites["locator"]]
    for row, plane in enumerate(planes):
        for at, c in enumerate("DE"):
            assert (pixels_of(tmp_path, screen, row)[at] == image(WELLS[row], plane, c)).all()
    assert screen.notes["counts"]["sites_of_several_planes"] == 1


def test_channels_that_were_never_imaged_together_are_refused(tmp_path):
    table(tmp_path)
    for well in WELLS:
        write(tmp_path / f"P1/{well}_z1_D.tif")
        write(tmp_path / f"P1/{well}_z2_E.tif")
    with pytest.raises(TableError, match=r"D at time 1, plane 1, E at time 1, plane 2"):
        screen_of(tmp_path, "files", pattern=PLANES)
    alone = screen_of(tmp_path, "files", pattern=PLANES, channel_names=["E"])
    assert len(alone.sites) == 4


def test_two_timelines_of_a_cellvoyager(tmp_path):
    table(tmp_path)
    for well in WELLS:
        for line in (1, 2):
            write(tmp_path / f"P1/P1_{well}_T0001F001L{line:02d}A01Z01C01.tif", image(well, line))
    write(tmp_path / "P1/DC_sCMOS #1_CAM1.tif")
    screen = screen_of(tmp_path, "yokogawa")
    counts = screen.notes["counts"]
    assert (counts["files_of_other_acquisitions"], counts["files_of_other_names"]) == (4, 1)
    second = screen_of(tmp_path, "yokogawa", acquisition="2")
    assert (pixels_of(tmp_path, second)[0] == image("A01", 2)).all()


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_brackets_and_decomposed_names(form, tmp_path):
    root = tmp_path / "input [batch 1]"
    table(root, plates=(normalize("NFC", "Plätte Ä 1 (rep)"),))
    for well in WELLS:
        write(root / normalize(form, "Plätte Ä 1 (rep)") / f"Images/x_{well}_s1_w1.tif")
    screen = screen_of(root)
    assert len(screen.sites) == 4
    assert pixels_of(root, screen).shape == (1, SIDE, SIDE)


# --- What is in the files ----------------------------------------------------------------------


def five(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 99, (*shape, SIDE, SIDE)).astype(np.uint16)


STACKS = {
    "ImageJ stack": (five(5), {"imagej": True}),
    "ImageJ channels": (five(2), {"imagej": True, "metadata": {"axes": "CYX"}}),
    "pages": (five(3), {"photometric": "minisblack"}),
}


@pytest.mark.parametrize("kind", STACKS)
def test_several_planes_in_a_file_are_refused(kind, tmp_path):
    pixels, options = STACKS[kind]
    table(tmp_path)
    for well in WELLS:
        write(tmp_path / f"P1/x_{well}_s1_w1.tif", pixels, **options)
    with pytest.raises(
        ImageError, match=r"no image of the screen can be read(.|\n)*several planes"
    ):
        screen_of(tmp_path)


def test_an_imagej_image_of_one_plane_is_read(tmp_path):
    table(tmp_path)
    for well in WELLS:
        write(tmp_path / f"P1/x_{well}_s1_w1.tif", image(well), imagej=True)
    assert (pixels_of(tmp_path, screen_of(tmp_path))[0] == image("A01")).all()


def test_jpeg_is_read_and_said_to_be_lossy(tmp_path):
    table(tmp_path)
    smooth = np.add.outer(np.arange(SIDE), np.arange(SIDE)).astype(np.uint8)
    (tmp_path / "P1").mkdir()
    for well in WELLS:
        content = imagecodecs.jpeg8_encode(smooth, level=98)
        (tmp_path / f"P1/x_{well}_s1_w1.jpg").write_bytes(content)
    screen = screen_of(tmp_path)
    assert screen.notes["counts"]["files_of_lossy_format"] == 4
    assert any("JPEG" in text for text in screen.notes["warnings"])
    found = pixels_of(tmp_path, screen)[0]
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - smooth).max() <= 4


@pytest.mark.parametrize("cut", [2, 20, 200])
def test_a_truncated_jpeg_is_refused(cut, tmp_path):
    table(tmp_path, wells=["A01"])
    (tmp_path / "P1").mkdir()
    content = imagecodecs.jpeg8_encode(image("x").astype(np.uint8), level=98)
    (tmp_path / "P1/x_A01_s1_w1.jpg").write_bytes(content[:cut])
    with pytest.raises(ImageError):
        pixels_of(tmp_path, screen_of(tmp_path, height_px=SIDE, width_px=SIDE))


def test_a_screen_whose_images_belong_to_no_well_is_refused(tmp_path):
    table(tmp_path, plates=("BR1",))
    write(tmp_path / "P1/x_A01_s1_w1.tif")
    with pytest.raises(ImageError, match=r"images are of plates P1\n  Expected plates BR1"):
        screen_of(tmp_path)


# --- Harmony -----------------------------------------------------------------------------------


def harmony(layouts, root, *, version="V7", folder="Images", url="{name}", inside="Images"):
    """One measurement; its index in `folder`, its images in `inside`, their addresses `url`."""
    place = root / "P1__2024-01-01T10_00_00-Measurement 1"
    images = []
    for column in range(1, 5):
        for channel in (1, 5):
            name = f"r01c{column:02d}f01p01-ch{channel}sk1fk1fl1.tiff"
            write(place / inside / name, image(column, channel))
            images.append((1, column, 1, channel, url.format(name=name)))
    index = layouts.harmony_index(version, images, "P1")
    index = index.replace(f"<ImageSizeX>{layouts.SHAPE[1]}", f"<ImageSizeX>{SIDE}")
    index = index.replace(f"<ImageSizeY>{layouts.SHAPE[0]}", f"<ImageSizeY>{SIDE}")
    (place / folder).mkdir(parents=True, exist_ok=True)
    (place / folder / "index.xml").write_text(index)
    table(root)
    return place


FORMS = {
    "beside": {},
    "above": {"folder": ".", "url": "Images/{name}"},
    "above, addresses without folder": {"folder": "."},
    "backslashes": {"url": r"sub\{name}", "inside": "Images/sub"},
    "addresses of another machine": {"url": r"D:\data\{name}"},
}


@pytest.mark.parametrize("form", FORMS)
def test_harmony_indexes_find_their_images(form, layouts, tmp_path):
    harmony(layouts, tmp_path, **FORMS[form])
    screen = screen_of(tmp_path, "harmony")
    assert len(screen.sites) == 4
    assert (pixels_of(tmp_path, screen, 1)[1] == image(2, 5)).all()


def test_harmony_v5_beside_v7(layouts, tmp_path):
    harmony(layouts, tmp_path, version="V5")
    shutil.move(tmp_path / "P1__2024-01-01T10_00_00-Measurement 1", tmp_path / "P2__old")
    index = tmp_path / "P2__old/Images/index.xml"
    index.write_text(index.read_text().replace("<PlateID>P1", "<PlateID>P2"))
    harmony(layouts, tmp_path, version="V7")
    table(tmp_path, plates=("P1", "P2"))
    screen = screen_of(tmp_path, "harmony")
    assert set(zip(screen.sites["height"], screen.sites["width"], strict=True)) == {(SIDE, SIDE)}
    assert len(screen.sites) == 8


def test_harmony_sizes_in_maps_are_used(layouts, tmp_path):
    place = harmony(layouts, tmp_path)
    index = place / "Images/index.xml"
    sizes = "<ImageSizeX>40</ImageSizeX><ImageSizeY>41</ImageSizeY></Entry>"
    index.write_text(index.read_text().replace("</Entry>", sizes))
    screen = screen_of(tmp_path, "harmony")
    assert set(screen.sites["height"]) == {41}


def test_harmony_without_any_image_is_refused(layouts, tmp_path):
    place = harmony(layouts, tmp_path)
    for file in place.rglob("*.tiff"):
        file.unlink()
    with pytest.raises(ImageError, match=r"no image of the screen can be read"):
        screen_of(tmp_path, "harmony")


# --- OME-Zarr ----------------------------------------------------------------------------------


def changed(path, change) -> None:
    content = json.loads(path.read_text())
    change(content["attributes"]["ome"])
    path.write_text(json.dumps(content))


def zarr_screen(layouts, root, **settings):
    return screen_of(root, "ome-zarr", **{**layouts.TABLE, **settings})


def test_acquisitions_of_an_ome_zarr_plate(layouts, tmp_path):
    layouts.ome_zarr(tmp_path)
    for well in ("C/3", "C/4"):
        listed = [{"path": "0", "acquisition": 0}, {"path": "1", "acquisition": 4}]
        changed(tmp_path / f"BR1.zarr/{well}/zarr.json",
                lambda ome, listed=listed: ome["well"].update(images=listed))  # fmt: skip
    first = zarr_screen(layouts, tmp_path)
    assert (len(first.sites), first.notes["counts"]["files_of_other_acquisitions"]) == (2, 2)
    second = zarr_screen(layouts, tmp_path, acquisition=4)
    assert [json.loads(text.partition(":")[2])[0] for text in second.sites["locator"]] == [
        "BR1.zarr/C/3/1/0", "BR1.zarr/C/4/1/0"
    ]  # fmt: skip


def test_axes_of_coordinate_systems_as_in_0_6(layouts, tmp_path):
    layouts.ome_zarr(tmp_path)

    def renew(ome):
        scale = ome["multiscales"][0]
        systems = [{"name": "other", "axes": []}, {"name": "intrinsic", "axes": scale.pop("axes")}]
        scale["coordinateSystems"] = systems
        ome["version"] = "0.6"

    for file in tmp_path.glob("BR1.zarr/C/*/*/zarr.json"):
        changed(file, renew)
    screen = zarr_screen(layouts, tmp_path)
    assert len(screen.sites) == 4


@pytest.mark.parametrize(("row", "wells"), [("3", ["C03", "C04"]), ("0", ["A03", "A04"])])
def test_numeric_rows(layouts, tmp_path, row, wells):
    layouts.ome_zarr(tmp_path)
    plate = tmp_path / "BR1.zarr"
    (plate / "C").rename(plate / row)

    def renew(ome):
        named = [{"path": f"{row}/{c}"} for c in (3, 4)]
        ome["plate"].update(wells=named, rows=[{"name": row}], columns=[{"name": "3"}])

    changed(plate / "zarr.json", renew)
    screen = read({"source": "ome-zarr", "root": str(tmp_path)})
    assert screen.wells["well"].tolist() == wells


def test_fields_that_were_not_copied_are_counted(layouts, tmp_path):
    layouts.ome_zarr(tmp_path)
    shutil.rmtree(tmp_path / "BR1.zarr/C/3/1")
    shutil.rmtree(tmp_path / "BR1.zarr/C/4")
    screen = zarr_screen(layouts, tmp_path)
    counts = screen.notes["counts"]
    assert len(screen.sites) == 1
    assert (counts["sites_without_images"], counts["wells_without_folders"]) == (1, 1)


def test_pixels_of_another_type_are_refused_when_the_screen_is_read(layouts, tmp_path):
    layouts.ome_zarr(tmp_path)
    file = tmp_path / "BR1.zarr/C/3/0/0/zarr.json"
    file.write_text(file.read_text().replace('"uint16"', '"float32"'))
    with pytest.raises(ImageError, match="pixels of float32"):
        zarr_screen(layouts, tmp_path)
