"""Whether the signature of a sealed output fits, and whose it is; ssh-keygen checks it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from volstrat.errors import UsageError
from volstrat.store.seal import MANIFEST, SIGNATURE

if TYPE_CHECKING:
    from pathlib import Path

NAMESPACE = "volstrat"

_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What checking a signature gave; its fields stand in the JSON of a verification."""

    fits: bool | None = None  # None where there is no signature, or nothing to check it with
    signer: str | None = None  # as the file of signers calls whoever signed
    sentence: str  # for a person


def check_signature(out: Path, *, signers: Path | None = None) -> Signature | None:
    """Check the signature of a sealed output's manifest; None where the output is not sealed.

    Parameters
    ----------
    signers : Path or None
        A file of allowed signers (ssh-keygen(1), ALLOWED SIGNERS); without it only that the signature is one
        of this manifest is checked, not whose it is.

    Raises
    ------
    UsageError
        If the file of signers is not there, or there is no ssh-keygen to check with.
    """
    if signers is not None and not signers.is_file():
        msg = f"{signers}: there is no such file of signers."
        raise UsageError(msg, hint='It has a line for each signer: NAME namespaces="volstrat" KEY.')
    manifest, signature = out / MANIFEST, out / SIGNATURE
    if not signature.is_file() and not manifest.is_file():
        return None
    if not signature.is_file():
        named = "" if signers is None else " of the signers that were named"
        return Signature(sentence=f"No signature{named}.", fits=None if signers is None else False)
    if not manifest.is_file():
        return Signature(sentence=f"{SIGNATURE} is there without {MANIFEST}.", fits=False)
    program = shutil.which("ssh-keygen")
    if program is None:
        msg = f"{SIGNATURE} cannot be checked: there is no ssh-keygen on this machine."
        raise UsageError(msg, hint="Install OpenSSH's client.")
    return _checked(program, manifest, signature, signers)


def _checked(program: str, manifest: Path, signature: Path, signers: Path | None) -> Signature:
    data = manifest.read_bytes()
    if signers is None:
        done = _keygen(program, ["check-novalidate", "-n", NAMESPACE, "-s", str(signature)], data)
        if done.returncode == 0:
            return Signature(sentence="Signed; by whom is not checked (--signers FILE).", fits=True)
        why = "one of the two was altered, or it was signed as something else"
        return Signature(sentence=f"{SIGNATURE} does not fit {MANIFEST}: {why}.", fits=False)
    found = _keygen(program, ["find-principals", "-f", str(signers), "-s", str(signature)], b"")
    for signer in found.stdout.decode(errors="replace").split():
        arguments = ["verify", "-f", str(signers), "-I", signer, "-n", NAMESPACE, "-s", str(signature)]
        if _keygen(program, arguments, data).returncode == 0:
            return Signature(sentence=f"Signed by {signer}.", fits=True, signer=signer)
    sentence = f"{SIGNATURE} is of no signer of {signers.name}, or does not fit {MANIFEST}."
    return Signature(sentence=sentence, fits=False)


def _keygen(program: str, arguments: list[str], data: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [program, "-Y", *arguments], input=data, capture_output=True, check=False, timeout=_SECONDS
    )
