"""Which paths and ref names are let in; git itself is asked where it has an opinion."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.vcs import validate_path, validate_ref_name
from hub.vcs.errors import InvalidPath, InvalidRefName
from hub.vcs.names import validate_full_ref_name

from .hostile_names import BAD_REF_NAMES, HFS_IGNORED, HOSTILE_PATHS

GOOD_PATHS = [
    "README.md",
    ".gitattributes",
    ".gitignore",
    "a/.gitattributes",
    ".github/workflows/ci.yml",
    "git",
    "git~2",
    "a.git",
    ".gitx",
    "..a",
    "a..",
    "a...b",
    "CON",
    "a b/c d.txt",
    "模型/权重.bin",
    "données/é.txt",
    "emoji 🤗.md",
    "x" * 255,
    "/".join(["d"] * 64),
    "-rf",
    "~",
    "a:b",
    "%2e%2e/x",
]


@pytest.mark.parametrize("path", HOSTILE_PATHS)
def test_hostile_path_is_refused_with_a_reason(path):
    with pytest.raises(InvalidPath) as caught:
        validate_path(path)
    assert caught.value.details["reason"]
    caught.value.message.encode("utf-8")


@pytest.mark.parametrize("path", GOOD_PATHS)
def test_ordinary_path_is_given_back_unchanged(path):
    assert validate_path(path) == path


@settings(deadline=None)
@given(st.text(max_size=40))
def test_accepted_path_stays_below_its_root_and_out_of_gits_folder(path):
    try:
        accepted = validate_path(path)
    except InvalidPath:
        return
    segments = accepted.encode("utf-8").decode("utf-8").split("/")
    assert accepted == path
    assert not {"", ".", "..", ".git"} & {segment.lower() for segment in segments}
    assert "\\" not in accepted


@settings(deadline=None)
@given(st.sampled_from(HFS_IGNORED), st.integers(0, 4), st.sampled_from(["", "a/", "a/b/"]))
def test_no_invisible_character_smuggles_gits_folder_in(char, position, folder):
    name = ".git"[:position] + char + ".git"[position:]
    with pytest.raises(InvalidPath):
        validate_path(f"{folder}{name}/config")


@pytest.mark.parametrize("name", BAD_REF_NAMES)
def test_bad_ref_name_is_refused(name):
    with pytest.raises(InvalidRefName):
        validate_ref_name(name)


@pytest.mark.parametrize(
    "name", ["main", "v1.0", "feature/x", "v1.0-rc.1", "中文", "a@b", "1", "a-b_c"]
)
def test_good_ref_name_is_given_back(name):
    assert validate_ref_name(name) == name


@pytest.mark.parametrize("name", ["main", "refs", "refs/heads", "refs/heads/", "refs//a"])
def test_full_name_needs_its_three_parts(name):
    with pytest.raises(InvalidRefName):
        validate_full_ref_name(name)


@settings(deadline=None)
@given(st.text(alphabet="ab.~^:?*[\\/@{}-lock \t", min_size=1, max_size=12))
def test_accepted_ref_name_is_accepted_by_git(name):
    try:
        validate_ref_name(name)
    except InvalidRefName:
        return
    result = subprocess.run(["git", "check-ref-format", f"refs/heads/{name}"], capture_output=True)
    assert result.returncode == 0
