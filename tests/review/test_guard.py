"""Who gets an answer, over a real socket."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.review.conftest import Served

    Serve = Callable[..., Served]
    Sample = Callable[[str], Path]


def ask(
    served: Served,
    path: str,
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """Send one request as written; Host is the server's own unless it is given."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    told = {"Host": f"127.0.0.1:{served.port}", **(headers or {})}
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in told.items():
        connection.putheader(name, value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, {k.lower(): v for k, v in answer.getheaders()}, data


def signed_in(served: Served) -> dict[str, str]:
    """Exchange the token for the cookie."""
    status, headers, _ = ask(served, f"/?token={served.token}")
    assert (status, headers["location"]) == (303, "/")
    return {"Cookie": headers["set-cookie"].split(";")[0]}


def mark(served: Served, headers: dict[str, str], **words: Any) -> int:  # noqa: ANN401
    """Send a mark and return the status of the answer."""
    status, _, state = ask(served, "/state", headers={k: v for k, v in headers.items() if k == "Cookie"})
    reading = json.loads(state)["reading"] if status == 200 else 0
    told = {"lesion_id": "L1", "reading": reading, "resectability": "ablatable", **words}
    body = json.dumps(told).encode()
    return ask(
        served, "/mark", method="POST", headers={"Content-Type": "application/json", **headers}, body=body
    )[0]


@pytest.fixture
def served(serve: Serve, sample: Sample) -> Served:
    """Serve a sample subject."""
    return serve(sample("S01_stratum_1"))


def test_without_the_cookie_there_is_nothing(served: Served) -> None:
    """Nothing of the case is told: neither data nor the page, nor whether an address exists."""
    for path in (
        "/",
        "/state",
        "/review.js",
        "/slice.png?plane=axial&index=1",
        "/at?x=0&y=0&z=0",
        "/nowhere",
    ):
        status, headers, data = ask(served, path)
        assert status == 403, path
        assert b"link that volstrat printed" in data
        assert "set-cookie" not in headers


def test_the_link_works_once(served: Served) -> None:
    """Used again it opens nothing, and the terminal shows a new link; a wrong token changes nothing."""
    assert ask(served, "/?token=wrong")[0] == 403
    cookie = signed_in(served)
    assert ask(served, "/state", headers=cookie)[0] == 200
    status, headers, _ = ask(served, f"/?token={served.token}")
    assert (status, "set-cookie" in headers) == (403, False)
    fresh = served.next_link().split("token=")[1]
    assert fresh != served.token
    assert ask(served, f"/?token={fresh}")[0] == 303


def test_the_cookie_is_kept_from_scripts_and_other_sites(served: Served) -> None:
    """HttpOnly and SameSite=Strict; the headers keep the page out of frames and off the network."""
    _, headers, _ = ask(served, f"/?token={served.token}")
    assert {part.strip() for part in headers["set-cookie"].split(";")[1:]} == {
        "HttpOnly",
        "SameSite=Strict",
        "Path=/",
    }
    cookie = {"Cookie": headers["set-cookie"].split(";")[0]}
    for path in ("/", "/state", "/review.css", "/nowhere"):
        told = ask(served, path, headers=cookie)[1]
        policy = dict(part.strip().split(" ", 1) for part in told["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'"
        assert told["x-content-type-options"] == "nosniff"
        assert told["cache-control"] == "no-store"
        assert "server" not in told


def test_a_foreign_host_is_refused(served: Served) -> None:
    """A name that was rebound to this address gets nothing, cookie or not."""
    cookie = signed_in(served)
    for host in (
        "evil.example",
        f"evil.example:{served.port}",
        "127.0.0.1",
        "127.0.0.1:1",
        f"[::1]:{served.port}",
        "",
    ):
        assert ask(served, "/state", headers={**cookie, "Host": host})[0] == 421, host
    assert ask(served, "/state", headers={**cookie, "Host": f"localhost:{served.port}"})[0] == 200


def test_another_page_cannot_mark(served: Served, tmp_path: Path) -> None:
    """A POST needs this page's own Origin; nothing is written otherwise."""
    cookie = signed_in(served)
    own = f"http://127.0.0.1:{served.port}"
    foreign: tuple[dict[str, str], ...] = (
        {},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": own.replace("http", "https")},
        {"Origin": own, "Sec-Fetch-Site": "cross-site"},
        {"Origin": own, "Sec-Fetch-Site": "same-site"},
    )
    for headers in foreign:
        assert mark(served, {**cookie, **headers}) == 403, headers
    assert not list(tmp_path.rglob("lesions.csv"))
    assert ask(served, "/state", headers={**cookie, "Origin": "http://evil.example"})[0] == 403


def test_a_mark_from_the_page_is_saved_and_nonsense_is_not(served: Served, tmp_path: Path) -> None:
    """Unknown keys, other types, half a JSON and a body of a megabyte are refused."""
    own = {**signed_in(served), "Origin": f"http://127.0.0.1:{served.port}"}
    while json.loads(ask(served, "/state", headers=own)[2])["version"] == 0:
        pass
    assert mark(served, own, force="yes") == 400
    assert mark(served, own, extra=1) == 400
    assert mark(served, own, resectability=["resectable"]) == 400
    assert mark(served, own, reason="x" * 5_000_000) == 400
    assert ask(served, "/mark", method="POST", headers=own, body=b"{")[0] == 400
    assert ask(served, "/mark", method="POST", headers=own, body=b"[" * 50_000)[0] == 400
    assert ask(served, "/note", method="POST", headers=own, body=b'{"kind": "applause"}')[0] == 400
    assert mark(served, own, resectability="gone") == 422
    assert not list(tmp_path.rglob("lesions.csv"))
    assert mark(served, own) == 200
    assert ask(served, "/mark", headers=own)[0] == 405


def test_pictures_that_make_no_sense_are_refused(served: Served) -> None:
    """No picture, no crash; a huge one is not drawn; an index beyond the end is the last slice."""
    cookie = signed_in(served)
    while json.loads(ask(served, "/state", headers=cookie)[2])["images"] is None:
        pass
    good = {
        "plane": "axial", "index": "99999", "w": "64", "h": "64", "left": "0", "top": "0", "scale": "1",
        "centre": "40", "width": "400", "opacity": "1", "suv": "5",
    }  # fmt: skip

    def picture(**changed: str) -> tuple[int, bytes]:
        status, _, data = ask(served, f"/slice.png?{urlencode({**good, **changed})}", headers=cookie)
        return status, data[:4]

    assert picture() == (200, b"\x89PNG")
    nonsense = (
        ("plane", "oblique"),
        ("index", "nan"),
        ("w", "99999"),
        ("h", "0"),
        ("scale", "0"),
        ("width", "-4"),
        ("suv", "x"),
    )
    for key, value in nonsense:
        assert picture(**{key: value})[0] == 404, key


def test_it_listens_on_the_loopback_address_alone(served: Served) -> None:
    """The machine's other addresses do not answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: only asks which address would be used
            own = probe.getsockname()[0]
        except OSError:
            pytest.skip("this machine has no address but loopback")
    if own.startswith("127."):
        pytest.skip("this machine has no address but loopback")
    with pytest.raises(OSError), socket.create_connection((own, served.port), timeout=3):  # noqa: PT011 - any refusal
        pass


def test_a_taken_port_is_said_in_one_sentence(served: Served, tmp_path: Path) -> None:
    """Exit 2, the port and the next step; no traceback."""
    case = next(p for p in tmp_path.iterdir() if p.is_dir())
    done = subprocess.run(
        [sys.executable, "-m", "volstrat", "review", case, "--no-browser", "--port", str(served.port)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"Port {served.port} is taken" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--reader", "../x"], "cannot be part of a file name"),
        (["--reader", "A", "--blind", "B"], "two readers"),
        (["--port", "99999"], "99999"),
    ],
)
def test_wrong_options_are_refused(sample: Sample, options: list[str], told: str) -> None:
    """Exit 2 with the reason, before anything is served."""
    done = subprocess.run(
        [sys.executable, "-m", "volstrat", "review", sample("S02_stratum_2"), "--no-browser", *options],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert told in done.stderr
