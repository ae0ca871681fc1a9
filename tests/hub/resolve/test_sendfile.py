"""What keeps large downloads out of Python."""

import sys

import pytest

from hub.xet.sending import FileSection


def test_web_server_sends_files_by_the_kernel(monkeypatch):
    from gunicorn.app.wsgiapp import WSGIApplication

    argv = ["gunicorn", "-c", "python:config.gunicorn", "config.wsgi:application"]
    monkeypatch.setattr(sys, "argv", argv)
    assert WSGIApplication().cfg.sendfile is True


@pytest.mark.parametrize(("start", "end"), [(0, 10), (3, 7), (9, 10), (5, 5)])
def test_section_ends_where_it_should(tmp_path, start, end):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    for size in (-1, 1, 3, 100):
        section = FileSection(path, start, end)
        pieces = []
        while piece := section.read(size):
            pieces.append(piece)
        assert b"".join(pieces) == b"0123456789"[start:end]
        section.close()


def test_section_cannot_be_sought_out_of(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    section = FileSection(path, 2, 4)
    assert not hasattr(section, "seek")
    section.close()
