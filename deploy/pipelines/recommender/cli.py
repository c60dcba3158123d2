"""The command line: evaluate, train, movielens."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recommender import als, evaluate, interactions, pack
from segue_pipelines import command, layout
from segue_pipelines.progress import say
from segue_pipelines.report import table

RESULTS = Path(__file__).resolve().parent / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb; exit code 0. Wrong usage leaves with code 2."""
    pipeline = command.Pipeline(
        program="recommender",
        text="Train, judge and release the recommender.",
        results=RESULTS,
        evaluate=_evaluate,
        train=_train,
        more={
            "movielens": command.Verb(
                text="judge on MovieLens 100k, read from the recbole wheel; prints figures only",
                example="--wheel recbole-1.2.1-py3-none-any.whl --json",
                arguments=lambda parser: parser.add_argument(
                    "--wheel", type=Path, required=True, help="a recbole wheel, see the Makefile"
                ),
                run=_movielens,
            )
        },
    )
    return command.run(pipeline, arguments)


def _evaluate(results: Path) -> command.Document:
    figures = evaluate.run(interactions.synthetic())
    document: command.Document = {"data": "synthetic", "seed": interactions.SEED, **figures}
    results.mkdir(parents=True, exist_ok=True)
    (results / "results.json").write_text(layout.dumps(document), encoding="utf-8")
    (results / "results.md").write_text(
        "# Recommender on synthetic interactions\n\n"
        "Written by `make -C deploy/pipelines evaluate`.\n\n" + _table(document),
        encoding="utf-8",
    )
    say(f"written: {results}/results.json, results.md")
    return document


def _train(folder: Path, _results: Path) -> command.Document:
    taken = interactions.synthetic().matrix()
    versions = {
        version: als.fit(taken, factors, evaluate.SEED)
        for version, factors in evaluate.FACTORS.items()
    }
    return {"digests": pack.write(versions, folder, evaluate.SEED)}


def _movielens(options: argparse.Namespace) -> command.Document:
    figures = evaluate.run(interactions.movielens(options.wheel))
    document: command.Document = {"data": "MovieLens 100k, four stars and more", **figures}
    say(_table(document))
    return document


def _table(document: dict[str, Any]) -> str:
    rates = document[f"hit_rate_at_{evaluate.TOP}"]
    head = ["", f"hit rate at {evaluate.TOP}"]
    counts = (
        f"{document['users']} users, {document['items']} items, "
        f"{document['interactions']} interactions, {document['asked']} users asked about.\n\n"
    )
    return counts + table(head, [[name, f"{rate:.3f}"] for name, rate in rates.items()])
