"""python -m segue_pipelines verify: re-checks the released artifacts."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from segue_pipelines import artifact, verify
from segue_pipelines.progress import say
from segue_pipelines.release import quickstart


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 if every artifact and document is sound, 1 otherwise."""
    parser = argparse.ArgumentParser(
        prog="python -m segue_pipelines",
        description="Check released artifacts: files, signatures, goldens, documents' digests.",
        epilog="Example: python -m segue_pipelines verify --json",
    )
    parser.add_argument("verb", choices=["verify"])
    parser.add_argument("--folder", type=Path, default=quickstart(), help="default: the quickstart")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    options = parser.parse_args(arguments)

    found: dict[str, list[str]] = {}
    digests: dict[str, str] = {}
    folders = verify.folders(options.folder)
    for path in folders:
        name = path.relative_to(options.folder).as_posix()
        found[name] = list(verify.problems(path))
        digests[name] = artifact.digest(path)
    for model in sorted({path.parent.name for path in folders}):
        found[f"{model}.yaml"] = list(verify.document_problems(options.folder, model))
    if not folders:
        found["models"] = ["no artifacts"]

    sound = not any(found.values())
    if options.json:
        print(json.dumps({"sound": sound, "digests": digests, "problems": found}, indent=2))
    else:
        for name, complaints in found.items():
            say(f"{name}: {'; '.join(complaints) or 'sound'} {digests.get(name, '')}".rstrip())
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
