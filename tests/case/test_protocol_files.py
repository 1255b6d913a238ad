"""Protocol files: the packaged one, others, and what is refused."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.part_cases import LABELS, nifti, tumour
from tests.records import run_case
from volstrat.case.protocol_files import altered_findings, load_protocol, parse_protocol
from volstrat.errors import InputFileError, ProtocolError
from volstrat.terms.protocol import Protocol

if TYPE_CHECKING:
    from pathlib import Path


def test_the_packaged_protocol_states_every_default() -> None:
    """Loaded, it is the protocol that the program has without any file; its text and hash are its own."""
    loaded = load_protocol()
    assert loaded.protocol == Protocol()
    assert loaded.sha256 == hashlib.sha256(loaded.text.encode()).hexdigest()
    assert (loaded.protocol.id, loaded.protocol.version) == ("pantodon", "1")


def test_a_file_is_loaded_by_its_bytes(tmp_path: Path) -> None:
    """Same choices, other comments: another hash, the same protocol."""
    path = tmp_path / "own.toml"
    path.write_bytes(load_protocol().text.encode() + b"# ours\r\n")
    loaded = load_protocol(path)
    assert loaded.protocol == load_protocol().protocol
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert loaded.sha256 != load_protocol().sha256


def test_a_protocol_of_the_packaged_ones_name_is_told_apart(tmp_path: Path) -> None:
    """It keeps id and version and moves a limit; the record names what differs, and its status stays."""
    (one,) = altered_findings(parse_protocol(b"[thresholds]\nstratum_1_percent = 18\n", name="a").protocol)
    assert one.severity == "info"
    assert "thresholds.stratum_1_percent = 18 (70 there)." in one.message
    for text in (b'version = "1.1"\n[thresholds]\nstratum_1_percent = 18\n', load_protocol().text.encode()):
        assert altered_findings(parse_protocol(text, name="own.toml").protocol) == ()
    nifti(tumour(tmp_path) / "resectable.nii.gz", (LABELS > 0).astype("uint8"))
    altered = parse_protocol(b"minimum_voxels = 2\n[naming]\nliver = []\n", name="own.toml")
    record = run_case(tmp_path, altered)
    assert record["status"] == run_case(tmp_path, load_protocol())["status"] == "assigned"
    (said,) = [one["message"] for one in record["findings"] if one["code"] == "protocol_altered"]
    assert "minimum_voxels = 2 (1 there), naming." in said


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    """As Windows editors write it; the hash is still that of the file's bytes."""
    path = tmp_path / "own.toml"
    path.write_bytes(b'\xef\xbb\xbfid = "own"\r\n')
    loaded = load_protocol(path)
    assert loaded.protocol.id == "own"
    assert hashlib.sha256(loaded.text.encode()).hexdigest() == loaded.sha256
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_decimal_percents_are_exact(tmp_path: Path) -> None:
    """66.1 % is 661 of 1000 and not the nearest binary fraction."""
    path = tmp_path / "own.toml"
    path.write_text('id = "own"\nversion = "2"\n[thresholds]\nstratum_1_percent = 66.1\n')
    percent = load_protocol(path).protocol.thresholds.stratum_1_percent
    assert percent * 10 == 661
    assert percent.as_integer_ratio() == (661, 10)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(b"id = ", "own.toml: is not valid TOML", id="broken"),
        pytest.param(b'id = "\xff"', "own.toml: is not valid TOML", id="no UTF-8"),
        pytest.param(
            b'id = "x"\nversion = "1"\nconectivity = 6\n', "own.toml: unknown key 'conectivity'", id="key"
        ),
        pytest.param(
            b'id = "x"\nversion = "1"\n[avidity]\nrul = "mask"\n',
            "unknown key 'avidity.rul'",
            id="nested key",
        ),
        pytest.param(b'id = "x"\nversion = "1"\nconnectivity = 8\n', "connectivity", id="value"),
        pytest.param(b'id = "x"\nversion = "1"\nminimum_voxels = "1"\n', "minimum_voxels", id="kind"),
        pytest.param(
            b'id = "x"\nversion = "1"\n[thresholds]\nstratum_1_percent = nan\n', "stratum_1_percent", id="NaN"
        ),
        pytest.param(b'id = "x"\nversion = "1"\nthresholds = 70\n', "thresholds", id="number for a table"),
    ],
)
def test_what_does_not_hold_is_refused_by_name(tmp_path: Path, data: bytes, said: str) -> None:
    """The file, the path to the key, one line."""
    (tmp_path / "own.toml").write_bytes(data)
    with pytest.raises(ProtocolError) as caught:
        load_protocol(tmp_path / "own.toml")
    assert caught.value.message.startswith("own.toml: ")
    assert said in caught.value.message
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Absent, or a directory."""
    with pytest.raises(InputFileError, match=r"own\.toml: no such file"):
        load_protocol(tmp_path / "own.toml")
    with pytest.raises(InputFileError, match="is a directory"):
        load_protocol(tmp_path)
