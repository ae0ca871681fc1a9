"""The scanners of structure, content, secrets and remote code, and what holds for all of them."""

import io
import json
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from ml_core.scan import SCANNERS, Finding, ScanLimits, ScanReport, Severity, Verdict, worst
from ml_core.scan import scan_file as scan_any
from ml_core.scan.report import report_from
from tests.ml_core.scan.hostile import call, zipped


def scan(raw, name, **limits):
    reports = scan_any(io.BytesIO(raw), name, len(raw), limits=ScanLimits(**limits))
    return {report.scanner: report for report in reports}


def codes(report):
    return {finding.code for finding in report.findings}


SAFE = save({"a": np.zeros((2, 3), np.float32)})


def test_safetensors_of_the_real_library_is_clean():
    reports = scan(SAFE, "model.safetensors")
    assert reports.keys() == {"content", "safetensors"}
    assert worst(r.verdict for r in reports.values()) is Verdict.CLEAN


def headed(header, data=b""):
    return struct.pack("<Q", len(header)) + header + data


@pytest.mark.parametrize(
    ("raw", "code", "verdict"),
    [
        (SAFE + b"MZ trailing program", "trailing-bytes", Verdict.SUSPICIOUS),
        (SAFE[:-1], "truncated", Verdict.FAILED),
        (SAFE[:12], "truncated", Verdict.FAILED),
        (struct.pack("<Q", 1 << 60), "header-too-large", Verdict.FAILED),
        (headed(b"not json"), "header-not-json", Verdict.FAILED),
        (
            headed(
                b'{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},'
                b'"b":{"dtype":"U8","shape":[3],"data_offsets":[1,4]}}',
                b"1234",
            ),
            "tensors-overlap",
            Verdict.SUSPICIOUS,
        ),
        (
            headed(
                b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},'
                b'"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}',
                b"12",
            ),
            "duplicate-key",
            Verdict.SUSPICIOUS,
        ),
    ],
)
def test_bad_safetensors_are_not_clean(raw, code, verdict):
    report = scan(raw, "model.safetensors")["safetensors"]
    assert (codes(report), report.verdict) == ({code}, verdict)


def test_pickle_named_safetensors_is_dangerous_by_content_alone():
    reports = scan(call("torch", "Size"), "model.safetensors")
    assert codes(reports["content"]) == {"wrong-extension"}
    assert reports["content"].verdict is Verdict.DANGEROUS
    assert "pickle-imports" in reports


@pytest.mark.parametrize(
    ("name", "raw", "code"),
    [
        ("README.md", b"\x7fELF\x02\x01", "executable"),
        ("logo.png", b"<!doctype html><script>", None),
        ("logo.png", b"%PDF-1.4", "wrong-extension"),
        ("data.json", b"\x00\x01\x02\x03", "wrong-extension"),
        ("config.json", b" " * ((4 << 20) + 1), "oversized"),
        ("model.onnx", b"PK\x03\x04", "wrong-extension"),
        ("utf16.txt", "hello".encode("utf-16"), None),
        ("model.bin", b"\x80\x02}.", None),
        ("run.sh", b"#!/bin/sh\n", None),
        ("page.html", b"plain words", None),
        ("picture.jpg", b"\x89PNG\r\n\x1a\n", None),
    ],
)
def test_content_that_differs_from_the_name_is_said(name, raw, code):
    report = scan(raw, name)["content"]
    assert codes(report) == ({code} if code else set())


def test_archive_findings_become_verdicts():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../evil.py", "x")
    assert scan(buffer.getvalue(), "data.zip")["archive"].verdict is Verdict.DANGEROUS
    assert scan(zipped(b"N."), "model.bin")["archive"].verdict is Verdict.CLEAN
    assert scan(b"7z\xbc\xaf\x27\x1c" + bytes(50), "a.7z")["archive"].verdict is Verdict.FAILED
    assert scan(b"PK\x03\x04", "a.zip")["archive"].verdict is Verdict.FAILED


# Assembled, so that no scanner of this very repository takes them for real.
SECRETS = {
    "AWS access key": "AKIA" + "QYLPMN5HHHFPZAM2",
    "GitHub token": "ghp_" + "wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx",
    "Hugging Face token": "hf_" + "aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgH",
    "Slack token": "xoxb-" + "34532454-e039d02840a0b9379c",
    "Private key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "OpenAI key": "sk-" + "Xi8tcNiHV9awbCcvTiTQT3BlbkFJDOQCL8kRLGRnVLQoFU1b",
    "Stripe key": "sk_live_" + "ReTllpYQYfIZu2Jnf2lAPFjD",
}


@pytest.mark.parametrize(("kind", "secret"), SECRETS.items())
def test_secrets_are_named_by_line_and_kind_and_never_shown(kind, secret):
    text = f"first line\nkey = '{secret}'\nlast line\n"
    report = scan(text.encode(), "train.py")["secrets"]
    assert report.verdict is Verdict.SUSPICIOUS
    assert {(f.detail["line"], f.detail["kind"]) for f in report.findings} >= {(2, kind)}
    shown = json.dumps(report.to_json())
    assert secret not in shown
    assert secret[8:20] not in shown


@pytest.mark.parametrize(
    "text",
    [
        "AWS_KEY=AKIAIOSFODNN7EXAMPLE",
        "password = 'hunter2'",
        "sha256: " + "ab" * 32,
        "token = os.environ['HF_TOKEN']",
        "hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "from hf_transfer_and_other_long_module_names_here import x",
        '{"model_type": "bert", "hidden_size": 128}',
    ],
)
def test_honest_text_raises_no_alarm(text):
    assert scan(text.encode(), "notes.md")["secrets"].verdict is Verdict.CLEAN


def test_secret_in_a_very_long_line_is_found_quickly():
    text = "a" * 1_000_000 + SECRETS["GitHub token"] + "a" * 1000
    report = scan(text.encode(), "one-line.json", timeout_s=20)["secrets"]
    assert codes(report) == {"secret"}


def test_text_beyond_the_limit_is_said_to_be_unread():
    report = scan(b"line\n" * 1000, "a.txt", max_text_bytes=100)["secrets"]
    assert codes(report) == {"partly-read"}
    assert report.verdict is Verdict.CLEAN


def test_secrets_are_not_looked_for_in_vocabularies_and_binary_files():
    assert "secrets" not in scan(b"{}", "tokenizer.json")
    assert "secrets" not in scan(b"\x00\x01" * 100, "model.onnx")


def test_remote_code_is_information():
    config = {"auto_map": {"AutoModel": "modeling_x.X"}, "attn_implementation": "kernels/x"}
    report = scan(json.dumps(config).encode(), "config.json")["remote-code"]
    assert codes(report) == {"needs-remote-code", "runtime-key"}
    assert report.verdict is Verdict.CLEAN
    assert codes(scan(b"print(1)", "modeling_x.py")["remote-code"]) == {"code"}
    assert scan(b"{", "config.json")["remote-code"].verdict is Verdict.FAILED
    assert scan(b'{"model_type": "bert"}', "config.json")["remote-code"].verdict is Verdict.CLEAN


def test_not_scanned_never_looks_like_clean():
    assert worst([]) is Verdict.NOT_SCANNED
    assert worst([Verdict.CLEAN, Verdict.NOT_SCANNED]) is Verdict.NOT_SCANNED
    assert worst([Verdict.CLEAN, Verdict.FAILED]) is Verdict.FAILED
    assert worst([Verdict.FAILED, Verdict.SUSPICIOUS]) is Verdict.SUSPICIOUS
    assert worst([Verdict.DANGEROUS, Verdict.CLEAN]) is Verdict.DANGEROUS


def test_every_file_has_a_report_and_every_scanner_a_name_of_its_own():
    assert scan(b"", "x").keys() == {"content"}
    assert len({scanner.name for scanner in SCANNERS}) == len(SCANNERS)
    assert all(scanner.version for scanner in SCANNERS)


def test_many_findings_are_cut_with_the_worst_kept():
    findings = [Finding("a", Severity.WARNING, "a")] * 200 + [Finding("b", Severity.DANGER, "b")]
    report = report_from("x", "1", findings, max_findings=10)
    assert report.verdict is Verdict.DANGEROUS
    assert report.findings[0].code == "b"
    assert report.findings[-1].detail == {"n": 191}


class _Broken(io.BytesIO):
    def read(self, n=-1):
        raise OSError("storage is down")


def test_errors_of_storage_and_wrong_sizes_give_failed_reports():
    for source, size_bytes in [(_Broken(b"x"), 1), (io.BytesIO(b"abc"), 4)]:
        reports = scan_any(source, "model.bin", size_bytes)
        assert {r.verdict for r in reports} == {Verdict.FAILED}
        assert len(reports) == len(SCANNERS)


class _Exploding:
    name, version = "exploding", "1"

    def applies_to(self, path, head):
        return True

    def scan(self, file, path):
        raise RecursionError


def test_scanner_that_breaks_gives_a_failed_report_and_spares_the_others():
    reports = scan_any(io.BytesIO(b"x"), "x", 1, scanners=[_Exploding(), SCANNERS[0]])
    assert [r.verdict for r in reports] == [Verdict.FAILED, Verdict.CLEAN]
    assert isinstance(reports[0], ScanReport)


def test_source_stays_open_and_can_be_scanned_again():
    stream = io.BytesIO(zipped(call("os", "system")))
    size_bytes = len(stream.getvalue())
    first = scan_any(stream, "a.bin", size_bytes)
    assert scan_any(stream, "a.bin", size_bytes) == first


def test_large_file_is_scanned_without_being_read(tmp_path):
    header = b'{"a":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (1 << 32, 1 << 32)
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.write(headed(header))
        file.truncate(8 + len(header) + (1 << 32))
    reports = scan_any(
        path, path.name, path.stat().st_size, limits=ScanLimits(max_read_bytes=1 << 20)
    )
    assert worst(r.verdict for r in reports) is Verdict.CLEAN


names = st.sampled_from(
    ["a.bin", "a.pkl", "a.safetensors", "a.zip", "a.npy", "a.npz", "a.gguf", "a.tar", "a.tar.gz",
     "config.json", "README.md", "a.joblib", "a.png", "a"]
)  # fmt: skip
starts = st.sampled_from(
    [
        b"",
        b"PK\x03\x04",
        b"\x80\x04",
        b"\x93NUMPY\x01\x00",
        b"GGUF\x03\x00\x00\x00",
        b"\x1f\x8b\x08",
        b"BZh9",
        b"\xfd7zXZ\x00",
        b"7z\xbc\xaf\x27\x1c",
        struct.pack("<Q", 20) + b"{",
        b"x\x9c",
        bytes(257) + b"ustar\x00",
        b'{"auto_map":',
    ]
)


@given(names, starts, st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_whatever_the_bytes_the_answer_is_a_list_of_reports(name, start, noise):
    raw = start + noise
    reports = scan_any(io.BytesIO(raw), name, len(raw))
    assert reports
    assert Verdict.NOT_SCANNED not in {report.verdict for report in reports}
    json.dumps([report.to_json() for report in reports])
