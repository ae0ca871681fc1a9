import io
import json

import numpy as np
import pytest
from safetensors.numpy import save

from ml_core.formats.errors import FormatError
from ml_core.formats.safetensors import read_header
from ml_core.formats.shards import parse_index, summarize_sharded

INDEX = {"metadata": {"total_size": 36}, "weight_map": {"a": "m-1.safetensors", "b": "m-2.st"}}


def headers():
    return {
        "m-1.safetensors": read_header(io.BytesIO(save({"a": np.zeros(4, np.float32)}))),
        "m-2.st": read_header(io.BytesIO(save({"b": np.zeros((5, 2), np.float16)}))),
    }


def test_shards_are_summed():
    index = parse_index(json.dumps(INDEX).encode())
    assert index.shards == ("m-1.safetensors", "m-2.st")
    assert summarize_sharded(index, headers()).to_json() == {
        "parameters": {"F16": 10, "F32": 4},
        "total": 14,
    }


def test_missing_shard_and_missing_tensor_are_named():
    index = parse_index(json.dumps(INDEX).encode())
    with pytest.raises(FormatError) as caught:
        summarize_sharded(index, {"m-2.st": headers()["m-2.st"]})
    assert caught.value.code == "missing-shard"
    swapped = parse_index(json.dumps({"weight_map": {"b": "m-1.safetensors"}}).encode())
    with pytest.raises(FormatError) as caught:
        summarize_sharded(swapped, headers())
    assert caught.value.code == "missing-tensor"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"{", "index-not-json"),
        (b"[]", "bad-index"),
        (b'{"weight_map": {}}', "bad-index"),
        (b'{"weight_map": {"a": "../x"}}', "shard-path"),
        (b'{"weight_map": {"a": "/etc/passwd"}}', "shard-path"),
        (b'{"weight_map": {"a": 3}}', "shard-path"),
    ],
)
def test_bad_indexes_are_refused(raw, code):
    with pytest.raises(FormatError) as caught:
        parse_index(raw)
    assert caught.value.code == code
