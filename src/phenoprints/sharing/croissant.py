"""Croissant 1.1 metadata of a folder of Parquet files (https://docs.mlcommons.org/croissant)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from phenoprints.foundations.fingerprints import file_sha256

CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
PARQUET = "application/x-parquet"


def croissant(folder: Path, about: Mapping[str, Any], tables: Mapping[str, str]) -> dict[str, Any]:
    """Describe the Parquet files of a folder as one Croissant document.

    `about` are properties of the data set (name, description, license, …); `tables` gives the
    description of each table, by the name of its file below `data/`.
    """
    paths = {name: folder / "data" / f"{name}.parquet" for name in tables}
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        **about,
        "distribution": [_file(name, path) for name, path in paths.items()],
        "recordSet": [
            _records(name, tables[name], pq.read_schema(path)) for name, path in paths.items()
        ],
    }


def _file(name: str, path: Path) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": f"{name}.parquet",
        "name": f"{name}.parquet",
        "contentUrl": f"data/{name}.parquet",
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": PARQUET,
        "sha256": file_sha256(path),
    }


def _records(name: str, description: str, schema: pa.Schema) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description,
        "field": [_field(name, field) for field in schema],
    }


def _field(table: str, field: pa.Field) -> dict[str, Any]:
    is_list = pa.types.is_list(field.type) or pa.types.is_large_list(field.type)
    kind = _data_type(field.type.value_type if is_list else field.type)
    array = {"isArray": True, "arrayShape": "-1"} if is_list else {}
    source = {"fileObject": {"@id": f"{table}.parquet"}, "extract": {"column": field.name}}
    name = {"@type": "cr:Field", "@id": f"{table}/{field.name}", "name": field.name}
    return {**name, "dataType": kind, **array, "source": source}


def _data_type(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(kind) else "sc:Text"
