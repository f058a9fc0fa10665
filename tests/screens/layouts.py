"""Small data sets in the layouts of the sources, written by the tests."""

from __future__ import annotations

import gzip
from pathlib import Path

import imagecodecs
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import tifffile

SHAPE = (20, 24)


def pixels(*key: object, shape: tuple[int, int] = SHAPE, dtype: str = "uint8") -> np.ndarray:
    """Random pixels that depend on the key alone."""
    seed = sum((i + 1) * ord(c) for i, c in enumerate("/".join(map(str, key))))
    top = 255 if dtype == "uint8" else 4000
    return np.random.default_rng(seed).integers(0, top, shape).astype(dtype)


def write(path: Path, content: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def write_tiff(path: Path, image: np.ndarray, compression: str | None = "lzw") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, image, compression=compression)


# --- RxRx1 -------------------------------------------------------------------------------------

RXRX1_HEADER = (
    "site_id,well_id,cell_type,dataset,experiment,plate,well,site,well_type,sirna,sirna_id"
)


def rxrx1_rows() -> list[str]:
    rows = []
    for experiment in ("HUVEC-01", "HUVEC-02", "RPE-01"):
        cell = experiment.split("-")[0]
        wells = [("B02", "negative_control", "EMPTY", 1138), ("B03", "treatment", "s1174", 0),
                 ("C04", "positive_control", "s20", 1108)]  # fmt: skip
        for well, role, sirna, number in wells:
            for site in (1, 2):
                key = f"{experiment}_1_{well}"
                rows.append(
                    f"{key}_{site},{key},{cell},train,{experiment},1,{well},{site},{role},"
                    f"{sirna},{number}"
                )
    return rows


def rxrx1(root: Path, *, kaggle: bool = False) -> Path:
    rows = rxrx1_rows()
    write(root / "metadata.csv", "\n".join([RXRX1_HEADER, *rows]) + "\n")
    for row in rows:
        _, _, _, dataset, experiment, plate, well, site, *_ = row.split(",")
        folder = root / "images" / (dataset if kaggle else "") / experiment / f"Plate{plate}"
        for channel in range(1, 7):
            image = pixels(experiment, well, site, channel)
            path = folder / f"{well}_s{site}_w{channel}.png"
            write(path, imagecodecs.png_encode(image))
    return root


# --- RxRx3 and RxRx3-core ----------------------------------------------------------------------

RXRX3_HEADER = (
    "well_id,experiment_name,plate,address,gene,treatment,SMILES,concentration,"
    "perturbation_type,cell_type"
)
RXRX3_ROWS = [
    ("gene-001", 1, "A01", "RPLP2", "RPLP2_guide_4", "", "", "CRISPR"),
    ("gene-001", 1, "AF48", "HLA-A", "HLA-A_guide_1", "", "", "CRISPR"),
    ("gene-001", 1, "B02", "EMPTY_control", "EMPTY_control", "", "", "CRISPR"),
    ("gene-002", 1, "A01", "RPLP2", "RPLP2_guide_4", "", "", "CRISPR"),
    ("gene-002", 1, "A02", "RXRX3-7", "RXRX3-7_guide_2", "", "", "CRISPR"),
    ("gene-003", 1, "A02", "ABC_1", "ABC_1_guide_12", "", "", "CRISPR"),
    ("compound-001", 19, "D20", "", "Dequalinium", '"CC1=C(N)C |c:1,13|"', "0.25", "COMPOUND"),
    ("compound-001", 19, "D21", "", "Dequalinium", '"CC1=C(N)C |c:1,13|"', "0.26", "COMPOUND"),
    ("compound-001", 19, "D22", "", "EMPTY_control", "", "", "COMPOUND"),
    ("compound-001", 19, "D23", "CRISPR_control", "CRISPR_control", "", "", "CRISPR"),
]


def rxrx3_table(path: Path, *, labels: bool = False) -> None:
    lines = [RXRX3_HEADER + (",well_type_label" if labels else "")]
    for experiment, plate, address, *rest in RXRX3_ROWS:
        gene, treatment, smiles, dose, kind = rest
        well = f"{experiment}_{plate}_{address}"
        fields = [well, experiment, str(plate), address, gene, treatment, smiles, dose, kind]
        end = ["Intron controls" if "ABC_1" in treatment else "Query guides"] if labels else []
        lines.append(",".join([*fields, "HUVEC", *end]))
    write(path, "\n".join(lines) + "\n")


def rxrx3(root: Path, *, suffix: str = "png") -> Path:
    rxrx3_table(root / "metadata_rxrx3.csv")
    for experiment, plate, address, *_ in RXRX3_ROWS:
        for channel in range(1, 7):
            image = pixels(experiment, address, channel, dtype="uint16")
            folder = root / "images" / experiment / f"Plate{plate}"
            if suffix == "png":
                content = imagecodecs.png_encode(image)
            else:
                content = imagecodecs.jpeg2k_encode(image, level=0, reversible=True)
            write(folder / f"{address}_s1_w{channel}.{suffix}", content)
    return root


def rxrx3_core(root: Path) -> Path:
    rxrx3_table(root / "metadata_rxrx3_core.csv", labels=True)
    rows = sorted(
        (f"{e}/Plate{p}/{a}_s1_{c}", pixels(e, a, c))
        for e, p, a, *_ in RXRX3_ROWS
        for c in range(1, 7)
    )
    images = [imagecodecs.jpeg2k_encode(image, level=0, reversible=True) for _, image in rows]
    keys = [key for key, _ in rows]
    cut = 27  # in the middle of a well: its channels lie in two shards
    (root / "data").mkdir(parents=True, exist_ok=True)
    for number, part in enumerate((slice(0, cut), slice(cut, None))):
        column = pa.StructArray.from_arrays(
            [pa.array(images[part], pa.binary()), pa.array([""] * len(images[part]))],
            ["bytes", "path"],
        )
        table = pa.table({"__key__": keys[part], "jp2": column})
        pq.write_table(table, root / f"data/train-0000{number}-of-00002.parquet", row_group_size=10)
    return root


# --- JUMP --------------------------------------------------------------------------------------

JUMP_CHANNELS = ("DNA", "ER", "RNA", "AGP", "Mito")
NUMBERS = {"DNA": 5, "ER": 4, "RNA": 3, "AGP": 2, "Mito": 1}


def jump(root: Path, *, form: str = "path", illumination: bool = True) -> Path:
    """One plate of source_4 with images, and one well whose plate the plate table lacks."""
    tables = {
        "well": "Metadata_Source,Metadata_Plate,Metadata_Well,Metadata_JCP2022\n"
        "source_4,007,A01,JCP2022_000001\nsource_4,007,A02,JCP2022_033924\n"
        "source_4,007,A03,JCP2022_999999\nsource_4,007,B01,JCP2022_UNKNOWN\n"
        "source_4,007,B02,JCP2022_900002\nsource_4,007,B03,JCP2022_805264\n"
        "source_4,EC000157real,A01,JCP2022_000001\n",
        "plate": "Metadata_Source,Metadata_Batch,Metadata_Plate,Metadata_PlateType\n"
        "source_4,2021_Batch1,007,COMPOUND\n",
        "crispr": "Metadata_JCP2022,Metadata_NCBI_Gene_ID,Metadata_Symbol\n"
        "JCP2022_805264,5347,PLK1\n",
        "orf": "Metadata_JCP2022,Metadata_Symbol\nJCP2022_900002,NAT1\n",
    }
    for name, text in tables.items():
        write(root / f"metadata/{name}.csv.gz", gzip.compress(text.encode(), mtime=0))
    write(
        root / "metadata/perturbation_control.csv",
        "Metadata_JCP2022,Metadata_pert_type,Metadata_Name,Metadata_modality\n"
        "JCP2022_999999,empty,Empty,any\nJCP2022_033924,negcon,DMSO,compound\n"
        "JCP2022_805264,poscon,PLK1,crispr\n",
    )
    folder = "cpg0016-jump/source_4/images/2021_Batch1/images/007__2021-Measurement 1/Images"
    illum = "cpg0016-jump/source_4/images/2021_Batch1/illum/007"
    rows = []
    for row, column in ((1, 1), (1, 2), (1, 3), (2, 1)):
        for site in (1, 2):
            entry = {"Metadata_Plate": "007", "Metadata_Well": f"{'AB'[row - 1]}{column:02d}",
                     "Metadata_Site": str(site), "Metadata_Source": "source_4",
                     "Metadata_Batch": "2021_Batch1"}  # fmt: skip
            for channel, number in NUMBERS.items():
                file = f"r{row:02d}c{column:02d}f{site:02d}p01-ch{number}sk1fk1fl1.tiff"
                image = pixels("007", row, column, site, channel, dtype="uint16")
                kind = [None, "lzw", "zlib"][(row + column + site) % 3]
                write_tiff(root / "gallery" / folder / file, image, kind)
                bucket = "s3://cellpainting-gallery/"
                if form == "url":
                    entry[f"URL_Orig{channel}"] = f"{bucket}{folder}/{file}"
                else:
                    entry[f"FileName_Orig{channel}"] = file
                    entry[f"PathName_Orig{channel}"] = f"{bucket}{folder}/"
                    entry[f"FileName_Illum{channel}"] = f"007_Illum{channel}.npy"
                    entry[f"PathName_Illum{channel}"] = f"{bucket}{illum}"
            rows.append(entry)
    if illumination:
        for channel in NUMBERS:
            place = root / "gallery" / illum
            place.mkdir(parents=True, exist_ok=True)
            np.save(place / f"007_Illum{channel}.npy", np.full(SHAPE, 2.0))
    table = pd.DataFrame(rows)
    place = root / "load_data_csv/2021_Batch1/007"
    place.mkdir(parents=True, exist_ok=True)
    if form == "url":
        table.to_csv(place / "load_data.csv", index=False)
    else:
        table.to_parquet(place / "load_data_with_illum.parquet")
    return root


# --- Harmony -----------------------------------------------------------------------------------

CHANNEL_NAMES = {1: "Alexa 647", 2: "Alexa 568", 5: "HOECHST 33342"}
CHANNEL_MAP = {"HOECHST 33342": "DNA", "Alexa 568": "AGP", "Alexa 647": "Mito"}


def harmony_index(version: str, images: list[tuple[int, int, int, int, str]], plate: str) -> str:
    """An Index.xml of Harmony V5 (channel facts with images) or V6/V7 (channel facts in maps)."""
    space = {"V5": "http://www.perkinelmer.com/PEHH/HarmonyV5",
             "V6": "http://www.perkinelmer.com/PEHH/HarmonyV6",
             "V7": "43B2A954-E3C3-47E1-B392-6635266B0DD3/HarmonyV7"}[version]  # fmt: skip
    entries, maps = [], []
    for row, column, field, channel, url in images:
        facts = (
            f"<ChannelName>{CHANNEL_NAMES[channel]}</ChannelName>"
            f"<ImageSizeX>{SHAPE[1]}</ImageSizeX><ImageSizeY>{SHAPE[0]}</ImageSizeY>"
            if version == "V5"
            else ""
        )
        entries.append(
            f'<Image Version="1"><id>{row:02d}{column:02d}K1F{field}P1R{channel}</id>'
            f"<State>Ok</State><URL>{url}</URL><Row>{row}</Row><Col>{column}</Col>"
            f"<FieldID>{field}</FieldID><PlaneID>1</PlaneID><TimepointID>0</TimepointID>"
            f'<ChannelID>{channel}</ChannelID>{facts}<PositionX Unit="m">0</PositionX></Image>'
        )
    if version != "V5":
        maps = [
            f'<Entry ChannelID="{number}"><ChannelName>{name}</ChannelName>'
            f"<ExposureTime>0.1</ExposureTime></Entry>"
            for number, name in CHANNEL_NAMES.items()
        ]
    return (
        f'<?xml version="1.0" encoding="utf-8"?><EvaluationInputData xmlns="{space}">'
        f"<Plates><Plate><PlateID>{plate}</PlateID><PlateRows>16</PlateRows></Plate></Plates>"
        f"<Maps><Map>{''.join(maps)}</Map></Maps><Images>{''.join(entries)}</Images>"
        "</EvaluationInputData>"
    )


PLATES_CSV = "batch,barcode,well,compound,content,nm\n"


def harmony(root: Path, *, version: str = "V5", name: str = "Index.idx.xml") -> Path:
    """Two plates; plate 2 lacks a well that the table has, and has one that the table lacks."""
    for number in (1, 2):
        folder = root / f"BR{number}__2024-07-04T16_04_45-Measurement {number}/Images"
        images = []
        for row, column in ((3, 3), (3, 4)) if number == 1 else ((3, 3), (4, 4)):
            for field in (1, 2):
                for channel in CHANNEL_NAMES:
                    url = f"r{row:02d}c{column:02d}f{field:02d}p01-ch{channel}sk1fk1fl1.tiff"
                    image = pixels(number, row, column, field, channel, dtype="uint16")
                    write_tiff(folder / url, image)
                    images.append((row, column, field, channel, url))
        write(folder / name, harmony_index(version, images, f"BR{number}"))
    write(
        root / "plates.csv",
        PLATES_CSV
        + "b1,BR1,c3,x,,250\nb1,BR1,C04,DMSO,DMSO,\nb1,BR2,C3,x,,250\nb1,BR2,C4,y,,250\n",
    )
    return root


TABLE = {
    "wells": "plates.csv",
    "columns": {
        "experiment": "batch",
        "plate": "barcode",
        "well": "well",
        "perturbation": "compound",
        "concentration_um": {"column": "nm", "scale": 0.001},
        "role": {"column": "content", "default": "treatment"},
    },
    "roles": {"DMSO": "negative_control"},
}


# --- Yokogawa and ImageXpress ------------------------------------------------------------------


def yokogawa(root: Path) -> Path:
    for well in ("C03", "C04"):
        for site in (1, 2):
            for channel in (1, 2, 3):
                for plane in (1, 2):
                    file = f"BR1_{well}_T0001F{site:03d}L01A01Z{plane:02d}C{channel:02d}.tif"
                    image = pixels(well, site, channel, plane, dtype="uint16")
                    write_tiff(root / "P01_OTHER" / file, image, "zlib")
    write(root / "plates.csv", PLATES_CSV + "b1,BR1,C03,x,,250\nb1,BR1,C04,DMSO,DMSO,\n")
    return root


GUID = "3EFC51B3-6F57-4273-AFE3-BAA0781C8ACF"


def imagexpress(root: Path) -> Path:
    for well in ("C03", "C04"):
        for site in (1, 2):
            for channel in (1, 2, 3):
                file = f"HTS_{well}_s{site}_w{channel}{GUID}.tif"
                write_tiff(root / "BR1/Images" / file, pixels(well, site, channel), None)
    write(root / "BR1/Images" / f"HTS_C03_s1_thumb{GUID}.tif", b"")
    write(root / "BR1/Images" / f"HTS_C03_s1_w1_thumb{GUID}.tif", b"")
    write(root / "plates.csv", PLATES_CSV + "b1,BR1,C03,x,,250\nb1,BR1,C04,DMSO,DMSO,\n")
    return root


# --- OME-Zarr ----------------------------------------------------------------------------------


def ome_zarr(root: Path, *, version: str = "0.5") -> Path:
    import zarr

    zarr_format = 3 if version == "0.5" else 2
    plate = root / "BR1.zarr"

    def attributes(folder: Path, content: dict) -> None:
        group = zarr.open_group(folder, mode="a", zarr_format=zarr_format)
        ome = {"ome": {"version": version, **content}}
        group.attrs.update(ome if version == "0.5" else content)

    wells = [{"path": f"C/{c}", "rowIndex": 2, "columnIndex": c - 1} for c in (3, 4)]
    attributes(plate, {"plate": {"name": "BR1", "wells": wells, "rows": [], "columns": []}})
    for well in wells:
        folder = plate / well["path"]
        attributes(folder, {"well": {"images": [{"path": "0"}, {"path": "1"}]}})
        for site in (0, 1):
            labels = [{"label": name} for name in ("HOECHST 33342", "Alexa 568", "Alexa 647")]
            axes = [{"name": name} for name in ("t", "c", "z", "y", "x")]
            scales = [{"axes": axes, "datasets": [{"path": "0"}]}]
            attributes(folder / str(site), {"multiscales": scales, "omero": {"channels": labels}})
            data = np.stack([pixels(well["path"], site, c, dtype="uint16") for c in range(3)])
            array = zarr.create_array(
                folder / str(site) / "0", shape=(1, 3, 1, *SHAPE), dtype="uint16",
                chunks=(1, 1, 1, 16, 16), zarr_format=zarr_format,
            )  # fmt: skip
            array[:] = data[None, :, None]
    write(root / "plates.csv", PLATES_CSV + "b1,BR1,C03,x,,250\nb1,BR1,C04,DMSO,DMSO,\n")
    return root
