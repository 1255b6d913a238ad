"""Settings files that nobody wrote by hand are refused in a sentence, at once."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from volstrat.case.case_file import parse_case_file
from volstrat.case.protocol_files import parse_protocol
from volstrat.case.toml_file import read_toml
from volstrat.errors import CaseError, ProtocolError, UsageError, VolstratError
from volstrat.study.study_file import read_study

if TYPE_CHECKING:
    from pathlib import Path

DEEP = {
    "arrays": "x = " + "[" * 100_000 + "]" * 100_000,
    "arrays that end nowhere": "x = " + "[\n" * 100_000,
    "tables": "x = " + "{a = " * 33 + "1" + "}" * 33,
    "keys": "[a" + ".a" * 50_000 + "]\nx = 1\n",
    "quoted keys": "a" + '."."' * 33 + " = 1\n",
    "arrays behind a text": 'a = """\n[[\n"""\nb = ' + "[" * 33 + "]" * 33,
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
def test_what_nests_too_deep_is_refused_at_once(tmp_path: Path, text: str) -> None:
    """As case, protocol and study file: no recursion, and no minutes for 100 kB of dots."""
    data = text.encode()
    (tmp_path / "study.toml").write_bytes(data)
    begun = time.process_time()
    with pytest.raises(CaseError, match=r"case\.toml: nests deeper than 32 levels"):
        parse_case_file(data, folder=tmp_path)
    with pytest.raises(ProtocolError, match=r"p\.toml: nests deeper than 32 levels"):
        parse_protocol(data, name="p.toml")
    with pytest.raises(UsageError, match=r"study\.toml: nests deeper than 32 levels"):
        read_study(tmp_path / "study.toml")
    assert time.process_time() - begun < 2


def test_what_a_person_writes_is_read() -> None:
    """Brackets and dots in texts, comments and numbers nest nothing."""
    text = (
        "\ufeffa.b.c = 1.5 # "
        + "[." * 50
        + '\r\nd = "'
        + "[." * 50
        + "\"\r\ne = '''\n"
        + "{{" * 50
        + "\n'''\n"
        "f = [" + ", ".join(["1.25"] * 60) + "]\n" + "[[g]]\nh = [[1, 2], [3]]\n" * 60
    )
    read = read_toml(text.encode(), name="x.toml", error=CaseError, parse_float=Decimal)
    assert read["a"] == {"b": {"c": Decimal("1.5")}}
    assert read["d"] == "[." * 50
    assert read["f"] == [Decimal("1.25")] * 60
    assert len(read["g"]) == 60


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"#" * (2**20 + 1), "has 1048577 bytes; a settings file has at most 1048576"),
        (b"a = \xff", "is not valid TOML"),
        (b'a = """ [[[', "is not valid TOML"),
        (b'a = """' + rb"\"\"\"" * 100_000, "is not valid TOML"),
        (b"a = '''", "is not valid TOML"),
    ],
    ids=["size", "bytes", "a text without an end", "a text of quotes", "a raw text without an end"],
)
def test_what_is_no_settings_file_is_said(data: bytes, said: str) -> None:
    """One sentence, soon."""
    begun = time.process_time()
    with pytest.raises(VolstratError, match=rf"^x\.toml: {said}"):
        read_toml(data, name="x.toml", error=CaseError)
    assert time.process_time() - begun < 2
