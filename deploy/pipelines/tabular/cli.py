"""The command line: evaluate, train."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segue_pipelines import command, layout
from segue_pipelines.progress import say
from segue_pipelines.report import table
from tabular import drift, estimators, pack

RESULTS = Path(__file__).resolve().parent / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb; exit code 0. Wrong usage leaves with code 2."""
    pipeline = command.Pipeline(
        program="tabular",
        text="Train, judge and release the wine model.",
        results=RESULTS,
        evaluate=evaluate,
        train=train,
        more={
            "drift": command.Verb(
                text="print prediction requests, one JSON document a line ("
                + "; ".join(f"{name}: {kind.text}" for name, kind in drift.KINDS.items())
                + ")",
                example="alcohol > drifted.jsonl",
                arguments=lambda parser: parser.add_argument("kind", choices=list(drift.KINDS)),
                run=lambda options: _drift(options.kind),
            ),
            "reference": command.Verb(
                text="make the drift profiles of the released versions again",
                example="--json",
                arguments=command.add_folder,
                run=lambda options: {
                    "digests": pack.add_references(
                        estimators.load(), list(estimators.versions()), options.folder
                    )
                },
            ),
        },
    )
    return command.run(pipeline, arguments)


def evaluate(results: Path) -> command.Document:
    """Cross-validates and writes results.json and results.md."""
    found = estimators.cross_validate(estimators.load())
    document: dict[str, object] = {"data": "scikit-learn load_wine", "models": dict(found)}
    results.mkdir(parents=True, exist_ok=True)
    (results / "results.json").write_text(layout.dumps(document), encoding="utf-8")
    rows = [
        [
            name,
            f"{figures['accuracy_mean']:.3f} ± {figures['accuracy_deviation']:.3f}",
            f"{figures['log_loss_mean']:.3f}",
        ]
        for name, figures in found.items()
    ]
    text = (
        f"# Wine: {estimators.SPLITS} stratified folds, {estimators.REPEATS} times\n\n"
        "Written by `make -C deploy/pipelines evaluate`; mean and standard deviation over the"
        " folds.\n\n" + table(["", "accuracy", "log loss"], rows)
    )
    (results / "results.md").write_text(text, encoding="utf-8")
    say(f"written: {results}/results.json, results.md")
    return document


def train(folder: Path, _results: Path) -> command.Document:
    """Fits both versions to all of the data and releases them; what they are worth on held-out
    data is for evaluate to say."""
    data = estimators.load()
    fitted = estimators.fit(data)
    pack.write(fitted, data, folder)
    return {"digests": pack.add_references(data, list(fitted), folder)}


def _drift(kind: str) -> None:
    for line in drift.requests(estimators.load(), kind):
        print(line)
