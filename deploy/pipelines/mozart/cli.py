"""The command line: evaluate, train, drift."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mozart import dataset, drift, evaluate, held_out, pack, report, split
from mozart.dataset import Dataset
from segue_pipelines import command
from segue_pipelines.progress import say

RESULTS = Path(__file__).resolve().parent / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb; exit code 0. Wrong usage leaves with code 2."""
    kinds = "; ".join(f"{name}: {kind.text}" for name, kind in drift.KINDS.items())
    pipeline = command.Pipeline(
        program="mozart",
        text="Train, judge and release the composer model.",
        results=RESULTS,
        evaluate=_evaluate,
        train=_train,
        more={
            "drift": command.Verb(
                text=f"print drifted prediction requests, one JSON document a line ({kinds};"
                f" {drift.SEEN}: what the released versions learnt from);"
                " derived from scores: not to be passed on",
                example="stretch --limit 20 > drifted.jsonl",
                arguments=_add_drift,
                run=_drift,
            ),
            "reference": command.Verb(
                text="make the drift profiles of the released versions again",
                example="--json",
                arguments=command.add_folder,
                run=_reference,
            ),
        },
    )
    return command.run(pipeline, arguments)


def _evaluate(results: Path) -> command.Document:
    data = dataset.load()
    document = evaluate.document(
        data, evaluate.run(data, evaluate.FOLDS, evaluate.SEED), evaluate.SEED
    )
    report.write_folds(results, document)
    say(f"written: {results}/folds.json, folds.md, confusion.png")
    return document


def _train(folder: Path, results: Path) -> command.Document:
    data = dataset.load()
    seen, asked = _held_out(data)
    versions = {
        version: evaluate.fit(seen, architecture, evaluate.SEED, f"version {version}")
        for version, architecture in evaluate.ARCHITECTURES.items()
    }
    versions["3"] = pack.spoil(versions["2"])
    document = held_out.measure(versions, asked)
    pack.write(versions, folder, evaluate.SEED, evaluate.HELD_OUT)
    digests = pack.add_references(seen, list(versions), folder)
    report.write_released(results, document)
    say(f"written: {results}/released.json, released.md")
    return {"digests": digests, **document}


def _add_drift(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=[*drift.KINDS, drift.SEEN])
    parser.add_argument("--limit", type=int, default=100, help="at most so many requests")
    parser.add_argument("--seed", type=int, default=0, help="decides their order")
    parser.add_argument(
        "--per-piece", type=int, default=0, metavar="N", help="at most so many of one piece"
    )


def _drift(options: argparse.Namespace) -> None:
    seen, asked = _held_out(dataset.load())
    drifted = seen if options.kind == drift.SEEN else drift.KINDS[options.kind].make(asked)
    for line in drift.requests(drifted, options.limit, options.seed, options.per_piece):
        print(line)


def _reference(options: argparse.Namespace) -> command.Document:
    seen, _ = _held_out(dataset.load())
    versions = [*evaluate.ARCHITECTURES, "3"]
    return {"digests": pack.add_references(seen, versions, options.folder)}


def _held_out(data: Dataset) -> tuple[Dataset, Dataset]:
    """What the released versions learn from, and what they never see."""
    fold = split.folds(data, evaluate.FOLDS, evaluate.SEED)[evaluate.HELD_OUT]
    return data.take(fold.train), data.take(fold.test)
