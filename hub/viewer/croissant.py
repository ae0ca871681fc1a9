"""A data set's description as Croissant, the JSON-LD vocabulary for data sets. Pure.

Source: Croissant 1.0 (docs.mlcommons.org/croissant), in the shape that the Hub gives it: the
repository as a git distribution, a file set per config and split, a record set per config.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from hub.viewer.layout import Config, Split

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataBiases": "cr:dataBiases",
    "dataCollection": "cr:dataCollection",
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "personalSensitiveInformation": "cr:personalSensitiveInformation",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_MEDIA_TYPES = {
    "parquet": "application/x-parquet",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "json": "application/jsonlines",
    "text": "text/plain",
    "imagefolder": "image/*",
    "audiofolder": "audio/*",
}
_WITH_COLUMNS = frozenset({"parquet", "csv", "tsv"})
MAX_FILES_NAMED = 100


@dataclass(frozen=True)
class About:
    """What the description says of the repository. Addresses are absolute."""

    name: str
    description: str
    license: str
    keywords: list[str]
    creator: str
    creator_url: str
    url: str
    commit_sha: str
    published: str


def describe(about: About, configs: list[Config], features: dict[str, dict[str, Any]]) -> Any:
    """The JSON-LD document.

    Args:
        features: by config, those of its columns; configs without are named without record set.
    """
    sets = [(config, split) for config in configs for split in config.splits]
    known = [config for config in configs if config.name in features]
    document = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": re.sub(r"\W+", "_", about.name.rpartition("/")[2]) or "dataset",
        "alternateName": [about.name],
        "description": about.description or f"The data set {about.name}.",
        "url": about.url,
        "identifier": about.name,
        "version": f"0.0.0+{about.commit_sha[:12]}",
        "datePublished": about.published,
        "creator": {"@type": "Organization", "name": about.creator, "url": about.creator_url},
        "keywords": about.keywords,
        "distribution": [_repository(about), *(_file_set(*each) for each in sets)],
        "recordSet": [_record_set(config, features[config.name]) for config in known],
    }
    return {**document, "license": about.license} if about.license else document


def _repository(about: About) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": "repo",
        "name": "repo",
        "description": "The git repository of the data set.",
        "contentUrl": f"{about.url}/tree/{about.commit_sha}",
        "encodingFormat": "git+https",
        # A repository has a commit instead; the field is required. As the Hub does.
        "sha256": f"https://github.com/mlcommons/croissant/issues/80#{about.commit_sha}",
    }


def _file_set(config: Config, split: Split) -> dict[str, Any]:
    paths = list(split.paths[:MAX_FILES_NAMED])
    folder = paths[0].rpartition("/")[0]
    is_all = len(split.paths) <= MAX_FILES_NAMED
    everything = f"{folder}/**" if folder else "**"
    return {
        "@type": "cr:FileSet",
        "@id": _file_set_id(config, split),
        "containedIn": {"@id": "repo"},
        "encodingFormat": _MEDIA_TYPES[split.format],
        "includes": paths if is_all else everything,
    }


def _file_set_id(config: Config, split: Split) -> str:
    return f"files-{_safe(config.name)}-{_safe(split.name)}"


def _record_set(config: Config, features: dict[str, Any]) -> dict[str, Any]:
    ident = _safe(config.name)
    names = [split.name for split in config.splits]
    return {
        "@type": "cr:RecordSet",
        "@id": ident,
        "name": ident,
        "description": f"The config {config.name}, with the splits: {', '.join(names)}.",
        "field": [
            field
            for at, (name, feature) in enumerate(features.items())
            if (field := _field(config, at, name, feature))
        ],
    }


def _field(config: Config, at: int, name: str, feature: Any) -> dict[str, Any] | None:
    """One column; nested ones have no data type of their own and are left out."""
    repeated = isinstance(feature, dict) and feature.get("_type") in ("List", "Sequence")
    kind = _data_type(feature["feature"] if repeated and "feature" in feature else feature)
    if kind is None:
        return None
    split = config.splits[0]
    field = {
        "@type": "cr:Field",
        # Numbered, as two names may become one when made safe.
        "@id": f"{_safe(config.name)}/{at}-{_safe(name)}",
        "name": name,
        "dataType": kind,
        "source": {
            "fileSet": {"@id": _file_set_id(config, split)},
            "extract": _extract(split, name),
        },
    }
    return {**field, "repeated": True} if repeated else field


def _extract(split: Split, name: str) -> dict[str, str]:
    if split.format in _WITH_COLUMNS:
        return {"column": name}
    if split.format == "json":
        return {"jsonPath": f"$['{name}']" if not name.isidentifier() else f"$.{name}"}
    if split.format == "text":
        return {"fileProperty": "lines"}
    return {"fileProperty": "content" if name in ("image", "audio") else "fullpath"}


def _data_type(feature: Any) -> str | None:
    if not isinstance(feature, dict):
        return None
    kind = feature.get("_type")
    if kind in ("Image", "Audio"):
        return "sc:ImageObject" if kind == "Image" else "sc:AudioObject"
    if kind == "ClassLabel":
        return "sc:Integer"
    dtype = str(feature.get("dtype")) if kind == "Value" else ""
    for prefix, named in _DATA_TYPES:
        if dtype.startswith(prefix):
            return named
    return None


_DATA_TYPES = (
    ("bool", "sc:Boolean"),
    ("int", "cr:Int64"),
    ("uint", "sc:Integer"),
    ("float", "cr:Float64"),
    ("decimal", "sc:Float"),
    ("string", "sc:Text"),
    ("large_string", "sc:Text"),
    ("timestamp", "sc:DateTime"),
    ("date", "sc:Date"),
)


def _safe(name: str) -> str:
    return re.sub(r"[^\w-]+", "_", name) or "_"
