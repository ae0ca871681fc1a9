"""Differences of checkpoints, from files written by the real library."""

import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from ml_core.formats.errors import FormatError
from ml_core.formats.safetensors import read_header
from ml_core.formats.shards import parse_index
from ml_core.formats.tensor_diff import EMPTY, diff_tensors, sharded, whole_file


def header(**tensors):
    """The header of a file with tensors given as (dtype, shape)."""
    arrays = {name: np.zeros(shape, dtype) for name, (dtype, shape) in tensors.items()}
    return read_header(io.BytesIO(save(arrays)))


def one_file(**tensors):
    return whole_file(header(**tensors))


def split(weight_map, **files):
    index = parse_index(json.dumps({"weight_map": weight_map}).encode())
    return sharded(index, {f"{name}.safetensors": held for name, held in files.items()})


def test_added_removed_and_changed_tensors_are_told_apart():
    old = one_file(kept=("f4", 3), gone=("f4", (2, 2)), cast=("f4", 8), grown=("f4", (4, 5)))
    new = one_file(kept=("f4", 3), made=("i8", 7), cast=("f2", 8), grown=("f4", (6, 5)))
    found = diff_tensors(old, new)
    assert [(c.name, c.kind, c.size_change_bytes) for c in found.changes] == [
        ("cast", "changed", 8 * 2 - 8 * 4),
        ("gone", "removed", -4 * 4),
        ("grown", "changed", (30 - 20) * 4),
        ("made", "added", 7 * 8),
    ]
    assert found.n_same == 1
    by_name = {change.name: change for change in found.changes}
    assert (by_name["cast"].has_new_dtype, by_name["cast"].has_new_shape) == (True, False)
    assert (by_name["grown"].has_new_dtype, by_name["grown"].has_new_shape) == (False, True)
    # F32: 3 + 4 + 8 + 20 = 35 before, 3 + 30 = 33 after
    assert [(d.dtype, d.old, d.new) for d in found.dtypes] == [
        ("F16", 0, 8), ("F32", 35, 33), ("I64", 0, 7),
    ]  # fmt: skip
    assert (found.total.old, found.total.new, found.total.change) == (35, 48, 13)


def test_layers_are_in_the_order_of_their_numbers():
    names = ["h.10.w", "h.2.w", "h.1.w", "h.02.w", "a"]
    found = diff_tensors(EMPTY, one_file(**dict.fromkeys(names, ("f4", 1))))
    assert [change.name for change in found.changes] == ["a", "h.1.w", "h.02.w", "h.2.w", "h.10.w"]


def test_the_same_model_in_one_file_and_in_shards_does_not_differ():
    whole = one_file(a=("f4", 3), b=("f4", 4))
    shards = split(
        {"a": "x.safetensors", "b": "y.safetensors"}, x=header(a=("f4", 3)), y=header(b=("f4", 4))
    )
    found = diff_tensors(whole, shards)
    assert found.changes == ()
    assert (found.n_same, found.total.change) == (2, 0)


def test_a_tensor_that_moved_to_another_shard_did_not_change():
    a, b = header(a=("f4", 3)), header(b=("f4", 4))
    old = split({"a": "x.safetensors", "b": "y.safetensors"}, x=a, y=b)
    new = split({"a": "y.safetensors", "b": "x.safetensors"}, x=b, y=a)
    assert diff_tensors(old, new).changes == ()


def test_one_name_in_two_shards_is_refused():
    with pytest.raises(FormatError) as caught:
        split(
            {"a": "x.safetensors", "b": "y.safetensors"},
            x=header(a=("f4", 3)),
            y=header(a=("f4", 3), b=("f4", 1)),
        )
    assert caught.value.code == "duplicate-tensor"


@given(st.lists(st.text("ab01.", max_size=6), unique=True), st.data())
@settings(max_examples=60, deadline=None)
def test_a_difference_backwards_swaps_added_and_removed(names, data):
    shapes = st.integers(0, 3)
    sides = [
        one_file(**{name: ("f4", data.draw(shapes)) for name in names if data.draw(st.booleans())})
        for _ in range(2)
    ]
    there, back = diff_tensors(*sides), diff_tensors(*reversed(sides))
    swapped = {"added": "removed", "removed": "added", "changed": "changed"}
    assert [(c.name, swapped[c.kind]) for c in there.changes] == [
        (c.name, c.kind) for c in back.changes
    ]
    assert there.total.change == -back.total.change
    assert there.n_same == back.n_same
