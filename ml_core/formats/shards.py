"""The index of a model split over several safetensors files (`*.safetensors.index.json`)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from ml_core.formats.errors import FormatError, LimitExceeded
from ml_core.formats.safetensors import ParameterSummary, SafetensorsHeader, summarize

MAX_INDEX_BYTES = 64 << 20


@dataclass(frozen=True)
class ShardIndex:
    """Which file holds which tensor; file names are plain names beside the index."""

    weight_map: Mapping[str, str]
    metadata: Mapping[str, object]

    @property
    def shards(self) -> tuple[str, ...]:
        return tuple(sorted(set(self.weight_map.values())))


def parse_index(raw: bytes) -> ShardIndex:
    """The index in `raw`.

    Raises:
        FormatError: `index-not-json`, `bad-index`, `shard-path`.
        LimitExceeded: `index-too-large`.
    """
    if len(raw) > MAX_INDEX_BYTES:
        raise LimitExceeded("index-too-large", "The index is too large.", size_bytes=len(raw))
    try:
        fields = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise FormatError("index-not-json", "The index is not valid JSON.") from error
    weight_map = fields.get("weight_map") if isinstance(fields, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise FormatError("bad-index", "The index has no weight_map.")
    for shard in weight_map.values():
        _check_shard_name(shard)
    metadata = fields.get("metadata")
    return ShardIndex(weight_map, metadata if isinstance(metadata, dict) else {})


def summarize_sharded(
    index: ShardIndex, headers: Mapping[str, SafetensorsHeader]
) -> ParameterSummary:
    """Numbers of elements over all shards of `index`.

    Args:
        headers: header of each shard by file name.

    Raises:
        FormatError: `missing-shard`, or `missing-tensor` where a shard lacks a tensor promised.
    """
    missing = [name for name in index.shards if name not in headers]
    if missing:
        raise FormatError("missing-shard", "A file named in the index is missing.", shards=missing)
    held = {name: {t.name for t in headers[name].tensors} for name in index.shards}
    for tensor, shard in index.weight_map.items():
        if tensor not in held[shard]:
            raise FormatError(
                "missing-tensor", "A shard lacks a tensor the index names.", tensor=tensor
            )
    return summarize(headers[name] for name in index.shards)


def _check_shard_name(shard: object) -> None:
    if not isinstance(shard, str) or not shard or "/" in shard or "\\" in shard or shard == "..":
        raise FormatError("shard-path", "The index names a file outside its own folder.")
