"""One POST against a real receiver: no redirect, no second look-up, bounds on time and bytes."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from contributions.webhooks.addresses import parse_target
from contributions.webhooks.sending import MAX_RESPONSE_BYTES, SendingFailed, post
from tests.support.live_site import free_port
from tests.support.receiver import Receiver, receiving

HERE = [ipaddress.ip_address("127.0.0.1")]
LIMIT_S = 20.0


@pytest.fixture
def receiver():
    with receiving() as started:
        yield started


def send(url: str, *, addresses=HERE, limit_s: float = LIMIT_S):
    return post(
        parse_target(url), addresses, body=b'{"a":1}', headers={"X-One": "1"}, limit_s=limit_s
    )


def test_the_connection_goes_to_the_checked_address_under_the_name_of_the_url(receiver: Receiver):
    answer = send(f"http://nowhere.invalid:{receiver.port}/in?a=b%20c")
    assert (answer.status, answer.text) == (200, "thanks")
    call = receiver.calls[0]
    assert (call.path, call.body) == ("/in?a=b%20c", b'{"a":1}')
    assert call.headers["host"] == f"nowhere.invalid:{receiver.port}"
    assert call.headers["x-one"] == "1"


def test_the_environment_names_no_proxy(receiver: Receiver, monkeypatch: pytest.MonkeyPatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    assert send(receiver.url).status == 200


def test_a_redirect_is_an_answer_and_is_not_followed(receiver: Receiver):
    with receiving() as inside:
        receiver.answers(307, b"go on", Location=inside.url)
        assert send(receiver.url).status == 307
        assert not inside.calls


def test_no_more_than_the_first_bytes_of_an_endless_answer_are_read(receiver: Receiver):
    sent_all = threading.Event()

    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(20_000):
            handler.wfile.write(b"x" * 10_000)
        sent_all.set()

    receiver.answer = endless
    assert len(send(receiver.url).text) == MAX_RESPONSE_BYTES
    assert not sent_all.is_set()


def test_the_next_address_is_tried_where_one_takes_no_connection(receiver: Receiver):
    addresses = [ipaddress.ip_address("127.0.0.2"), *HERE]
    assert send(receiver.url, addresses=addresses).status == 200


def test_nobody_listens():
    with pytest.raises(SendingFailed) as caught:
        send(f"http://127.0.0.1:{free_port()}/")
    assert caught.value.code == "connect"


def drip(handler: BaseHTTPRequestHandler, stop: threading.Event) -> None:
    """A header that grows a byte at a time: no pause is as long as a time-out of the socket."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not stop.wait(0.02):
        handler.wfile.write(b"x")


def test_a_receiver_that_drips_is_cut_off_at_the_limit(receiver: Receiver):
    stop = threading.Event()
    receiver.answer = lambda handler: drip(handler, stop)
    with pytest.raises(SendingFailed) as caught:
        send(receiver.url, limit_s=0.3)
    stop.set()
    assert caught.value.code == "timeout"


def test_a_silent_receiver_is_cut_off_at_the_limit(receiver: Receiver):
    stop = threading.Event()
    receiver.answer = lambda handler: stop.wait(30) and None
    with pytest.raises(SendingFailed) as caught:
        send(receiver.url, limit_s=0.3)
    stop.set()
    assert caught.value.code == "timeout"


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH_9.6\r\n", b"", b"HTTP/9.9 what\r\n\r\n"])
def test_what_is_not_http_is_named_so(receiver: Receiver, said: bytes):
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(said)
        handler.close_connection = True

    receiver.answer = answer
    with pytest.raises(SendingFailed) as caught:
        send(receiver.url)
    assert caught.value.code == "protocol"


@pytest.fixture(scope="module")
def tls_files(tmp_path_factory: pytest.TempPathFactory):
    """Key and self-signed certificate of hooks.example."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hooks.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example")]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder


class _Quiet(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_) -> None:
        return


@pytest.fixture
def tls_receiver(tls_files):
    """The port of an https receiver that stands for hooks.example."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls_files / "cert.pem", tls_files / "key.pem")

    class Server(HTTPServer):
        def get_request(self):
            plain, peer = super().get_request()
            return context.wrap_socket(plain, server_side=True), peer

        def handle_error(self, request, client_address) -> None:
            return

    server = Server(("127.0.0.1", 0), _Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_certificate_must_be_trusted_and_be_of_the_name(
    tls_receiver, tls_files, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(SendingFailed) as caught:
        send(f"https://hooks.example:{tls_receiver}/")
    assert caught.value.code == "tls"
    monkeypatch.setenv("SSL_CERT_FILE", str(tls_files / "cert.pem"))
    assert send(f"https://hooks.example:{tls_receiver}/").status == 204
    with pytest.raises(SendingFailed) as caught:
        send(f"https://other.example:{tls_receiver}/")
    assert caught.value.code == "tls"


def test_https_to_a_plain_receiver_is_no_safe_connection(receiver: Receiver):
    with pytest.raises(SendingFailed) as caught:
        send(f"https://127.0.0.1:{receiver.port}/", limit_s=LIMIT_S)
    assert caught.value.code in {"tls", "protocol"}
    assert not receiver.calls


def test_no_name_is_looked_up(receiver: Receiver, monkeypatch: pytest.MonkeyPatch):
    asked = []
    real = socket.getaddrinfo

    def look_up(host, *args, **kwargs):
        asked.append(host)
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    send(f"http://rebound.example:{receiver.port}/")
    assert set(asked) == {"127.0.0.1"}
