"""Seal a finished output, open it again, and check its signature; an opening is said ever after.

Both stand in the output's trail; ssh-keygen checks signatures.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from volstrat.cohort.run_file import read_run_file, record_event
from volstrat.errors import CaseError, UsageError
from volstrat.formats.hashing import sha256_of
from volstrat.store.locking import output_lock
from volstrat.store.output import STATE_FOLDER, write_atomically
from volstrat.store.seal import (
    LOCKED,
    MANIFEST,
    SIGNATURE,
    UNLOCKED,
    check_manifest,
    is_sealed,
    note_state,
    sealed_by,
    write_manifest,
)
from volstrat.terms.wording import shown_names
from volstrat.verify.result_folder import check_files, read_records
from volstrat.verify.trail_check import check_output_trail

if TYPE_CHECKING:
    from pathlib import Path


def lock_output(out: Path, *, with_open: bool = False) -> int:
    """Seal a finished output with a manifest of hashes, and return how many files it names.

    Nothing may be written into it any more. Subjects that failed, have no stratum or are to be reviewed are
    sealed in only ``with_open``. A trail or files that are not what the run left are a `CaseError`: a fault
    is not sealed in.
    """
    run = read_run_file(out)
    if run is None or run.get("finished_at") is None:
        what = "holds no run of volstrat batch" if run is None else "its run has not come to its end"
        msg = f"{out}: {what}; there is nothing to seal."
        raise UsageError(msg, hint="Run the batch to its end first.")
    _refuse_twice(out)
    with output_lock(out):
        records = read_records(out, run)
        problems = [fault.message for fault in (*records.faults, *check_files(out, run, records))]
        problems += check_output_trail(out).faults
        if problems:
            more = f" And {len(problems) - 1} more." if len(problems) > 1 else ""
            msg = f"{out}: cannot be sealed. {problems[0]}{more}"
            raise CaseError(msg, hint="volstrat verify names all of it. Run the batch again, then seal.")
        still_open = records.unsettled  # sealing these in is a choice of its own
        if still_open and not with_open:
            shown = "; ".join(
                f"{status.replace('_', ' ')}: {shown_names(names)}" for status, names in still_open.items()
            )
            msg = f"{out}: holds subjects that are not settled ({shown})."
            raise UsageError(msg, hint="Settle them and run the batch again, or seal them open: --with-open.")
        detail: dict[str, Any] = {"subjects": len(records.folders), "open": still_open}
        record_event(out, LOCKED, detail, locked=True)
        note_state(out, locked=True)
        return write_manifest(out)


def _refuse_twice(out: Path) -> None:
    if not is_sealed(out):
        return
    faults = check_manifest(out)
    if not faults:
        msg = f"{out}: has been sealed already, and is unchanged since."
        raise UsageError(msg)
    signs = ", ".join(sealed_by(out))
    msg = f"{out}: has been sealed already ({signs}), and {faults[0][0]} is {faults[0][1]} since."
    raise CaseError(msg, hint=f"volstrat verify names all of it; {MANIFEST} is never written twice.")


def unlock_output(out: Path, *, by: str, reason: str) -> None:
    """Open a sealed output again; who and why stand in its trail, and are said ever after.

    The manifest and its signature are kept in the state folder. What was not as it was sealed when it was
    opened stays a fault of the trail. An output that is not sealed, nobody, and no reason are refused.
    """
    if not by.strip() or not reason.strip():
        msg = "Opening a sealed output needs who opens it and why."
        raise UsageError(msg, hint="Write --by NAME --reason TEXT.")
    if not is_sealed(out):
        msg = f"{out}: is not sealed; there is nothing to open."
        raise UsageError(msg)
    with output_lock(out):
        run = read_run_file(out)
        faults = [path for path, *_ in check_manifest(out)]
        if run is not None:
            records = read_records(out, run)
            faults += [fault.path for fault in (*records.faults, *check_files(out, run, records))]
        faults += check_output_trail(out).faults
        manifest = sha256_of(out / MANIFEST) if (out / MANIFEST).is_file() else None
        detail = {
            "by": by.strip(),
            "reason": reason.strip(),
            "manifest_sha256": manifest,
            "seal_faults": list(dict.fromkeys(faults)),
        }
        record_event(out, UNLOCKED, detail, locked=False)
        for name in (MANIFEST, SIGNATURE):
            if (out / name).is_file():
                kept = out / STATE_FOLDER / "history" / f"{name}.{(manifest or '')[:12]}"
                write_atomically(kept, (out / name).read_bytes())
                (out / name).unlink()
        note_state(out, locked=False)


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

    Without a file of allowed ``signers`` (ssh-keygen(1), ALLOWED SIGNERS) only that the signature is one of
    this manifest is checked, not whose it is. Where that file or ssh-keygen is not there, that is a
    UsageError.
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
