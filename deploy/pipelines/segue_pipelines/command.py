"""The command line that every pipeline has: evaluate, train, and verbs of its own."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segue_pipelines.release import quickstart

Document = dict[str, object]


@dataclass(frozen=True)
class Verb:
    """A verb of one pipeline only."""

    text: str
    example: str
    """Its arguments in the example of --help."""
    arguments: Callable[[argparse.ArgumentParser], object]
    """Adds its arguments to its parser."""
    run: Callable[[argparse.Namespace], Document | None]
    """Does it; what it returns is what --json prints."""


@dataclass(frozen=True)
class Pipeline:
    """What the verbs of one pipeline do."""

    program: str
    text: str
    results: Path
    """Where results go by default."""
    evaluate: Callable[[Path], Document]
    """Judges the model by held-out data and writes the results folder it is given."""
    train: Callable[[Path, Path], Document]
    """Trains and releases every version: folder of the documents, folder of the results."""
    more: Mapping[str, Verb] = field(default_factory=dict)


def run(pipeline: Pipeline, arguments: Sequence[str] | None) -> int:
    """Parses and runs one verb; exit code 0. Wrong usage leaves with code 2."""
    verbs = {
        "evaluate": Verb(
            "judge by held-out data and write the results folder",
            "--json",
            _add_results,
            lambda options: pipeline.evaluate(options.results or pipeline.results),
        ),
        "train": Verb(
            "train and release every version: artifacts, digests, example request",
            "--json",
            _add_folders,
            lambda options: pipeline.train(options.folder, options.results or pipeline.results),
        ),
        **pipeline.more,
    }
    parser = argparse.ArgumentParser(
        prog=f"python -m {pipeline.program}", description=pipeline.text
    )
    parsers = parser.add_subparsers(required=True, metavar="VERB")
    for name, verb in verbs.items():
        own = parsers.add_parser(
            name,
            help=verb.text,
            description=verb.text,
            epilog=f"Example: python -m {pipeline.program} {name} {verb.example}",
        )
        own.add_argument("--json", action="store_true", help="one JSON document on standard output")
        verb.arguments(own)
        own.set_defaults(run=verb.run)
    options = parser.parse_args(arguments)
    document: Document | None = options.run(options)
    if options.json and document is not None:
        print(json.dumps(document, indent=2))
    return 0


def _add_results(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", type=Path, metavar="DIR", help="default: beside the code")


def _add_folders(parser: argparse.ArgumentParser) -> None:
    _add_results(parser)
    add_folder(parser)


def add_folder(parser: argparse.ArgumentParser) -> None:
    """Adds --folder, where releases go."""
    parser.add_argument(
        "--folder",
        type=Path,
        default=quickstart(),
        metavar="DIR",
        help="where documents and artifacts lie; default: the quickstart",
    )
