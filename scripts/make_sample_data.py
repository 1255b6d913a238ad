"""Write `sample_data/`: small phantom subjects, and what each of them must give.

Nothing here uses volstrat. Counts come from dense arrays, verdicts are stated by hand, subject by
subject, from the rule; `sample_data/expected.json` holds both.

    python scripts/make_sample_data.py            writes sample_data/
    python scripts/make_sample_data.py --check    exit 1 where sample_data/ is not what this writes
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import sample_readings
import sample_verdicts
from sample_files import content

SAMPLE_DATA = Path(__file__).resolve().parent.parent / "sample_data"

KEPT_BY_HAND = {"README.md"}

SUBJECTS = (
    sample_verdicts.clear_stratum_1,
    sample_verdicts.stratum_2_with_spill,
    sample_verdicts.ineligible_avid_unresectable,
    sample_verdicts.ineligible_nothing_avid,
    sample_verdicts.exactly_70_percent,
    sample_verdicts.no_pet_not_needed,
    sample_verdicts.no_pet_but_needed,
    sample_verdicts.pet_only_region,
    sample_readings.unknown_does_not_matter,
    sample_readings.unknown_matters,
    sample_readings.lesion_table,
    sample_readings.slicer_segments,
    sample_readings.pet_field_too_short,
    sample_readings.broken_file,
    sample_readings.dicom_objects,
    sample_readings.three_plans,
)


def sample_files() -> dict[str, bytes]:
    """Return every file of `sample_data/` that this script makes, by path."""
    files: dict[str, bytes] = {}
    expected = {}
    for subject in (make() for make in SUBJECTS):
        expected[subject.name] = {"story": subject.story, **subject.expected}
        files |= {f"{subject.name}/{path}": data for path, data in subject.files.items()}
    files["expected.json"] = (json.dumps(expected, indent=1) + "\n").encode()
    return files


def differences(folder: Path, files: dict[str, bytes]) -> list[str]:
    """Return a line for every file that is missing, left over, or not what the script writes."""
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    lines = [f"missing: {name}" for name in sorted(files.keys() - there)]
    lines += [f"left over: {name}" for name in sorted(there - files.keys() - KEPT_BY_HAND)]
    for name in sorted(files.keys() & there):
        found = (folder / name).read_bytes()
        if found != files[name] and content(name, found) != content(name, files[name]):
            lines.append(f"differs: {name}")
    return lines


def main() -> int:
    """Write the folder, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=SAMPLE_DATA)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file differs")
    arguments = parser.parse_args()
    files = sample_files()
    if arguments.check:
        lines = differences(arguments.folder, files)
        print("\n".join(lines) or f"{len(files)} files are what the script writes")
        return 1 if lines else 0
    for name, data in files.items():
        path = arguments.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    print(f"{len(files)} files, {sum(map(len, files.values())) / 1000:.0f} kB in {arguments.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
