"""Results for people: Markdown tables and a picture of the confusions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mozart import LABELS
from segue_pipelines import layout
from segue_pipelines.report import table


def write_folds(folder: Path, document: dict[str, Any]) -> None:
    """folds.json, folds.md and confusion.png."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "folds.json").write_text(layout.dumps(document), encoding="utf-8")
    (folder / "folds.md").write_text(folds(document), encoding="utf-8")
    strongest = document["summary"]["CNN, version 2"]
    _picture(folder / "confusion.png", strongest["pooled_confusion"])


def write_released(folder: Path, document: dict[str, Any]) -> None:
    """released.json and released.md."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "released.json").write_text(layout.dumps(document), encoding="utf-8")
    (folder / "released.md").write_text(released(document), encoding="utf-8")


def folds(document: dict[str, Any]) -> str:
    """The cross-validation as Markdown."""
    results, summary = document["folds"], document["summary"]
    numbers = [f"fold {r['fold']}" for r in results]
    accuracy = [
        [name]
        + [f"{r['models'][name]['accuracy']:.3f}" for r in results]
        + [f"{figures['accuracy_mean']:.3f} ± {figures['accuracy_deviation']:.3f}"]
        + [f"{figures['balanced_accuracy_mean']:.3f}", f"{figures['piece_vote_accuracy_mean']:.3f}"]
        for name, figures in summary.items()
    ]
    held = ["Mozart held out", *(", ".join(_short(r["held_out_mozart"])) for r in results)]
    recall = [
        [name, *(f"{figures['pooled_recall'][label]:.3f}" for label in LABELS)]
        for name, figures in summary.items()
    ]
    mozart = [
        [name, *(f"{r['models'][name]['recall']['mozart']:.3f}" for r in results)]
        for name in summary
    ]
    classes = [
        [label, *(str(document["classes"][label][k]) for k in ("works", "pieces", "windows"))]
        for label in LABELS
    ]
    return "\n".join(
        [
            f"# Cross-validation by work, {len(results)} folds, seed {document['seed']}",
            "",
            f"{document['corpus']}. Written by `make -C deploy/pipelines evaluate`.",
            "",
            table(["class", "works", "pieces", "windows"], classes),
            "Accuracy over windows of works that were not learnt from; mean and standard deviation"
            " over the folds, mean recall over the classes, and accuracy of a vote per piece:",
            "",
            table(
                ["", *numbers, "mean ± deviation", "balanced", "vote per piece"],
                [*accuracy, [*held, "", "", ""]],
            ),
            "Recall of each class over all folds together:",
            "",
            table(["", *LABELS], recall),
            "Recall of Mozart alone, by fold:",
            "",
            table(["", *numbers], [*mozart, held]),
            "![Confusions of version 2 over all folds](confusion.png)",
            "",
        ]
    )


def released(document: dict[str, Any]) -> str:
    """The released versions on held-out works and under drift, as Markdown."""
    rows = [
        [
            version,
            kind,
            str(figures["windows"]),
            f"{figures['accuracy']:.3f}" if "accuracy" in figures else "",
            f"{figures['mean_confidence']:.3f}",
            *(f"{figures['answers'][label]:.2f}" for label in LABELS),
        ]
        for version, kinds in document["versions"].items()
        for kind, figures in kinds.items()
    ]
    head = ["version", "input", "windows", "accuracy", "mean confidence", *LABELS]
    return "\n".join(
        [
            "# The released versions on works they have not seen, and under drift",
            "",
            "Written by `make -C deploy/pipelines train`. The last five columns are the shares of"
            " the answers. Input `none` is the held-out works as they are.",
            "",
            table(head, rows),
        ]
    )


def _short(works: Sequence[str]) -> list[str]:
    return [f"K. {work.removeprefix('mozart/k')}" for work in works]


def _picture(path: Path, confusion: Sequence[Sequence[int]]) -> None:
    from matplotlib.figure import Figure  # only needed here, and slow to import

    figure = Figure(figsize=(5.4, 4.6), layout="constrained")
    axes = figure.subplots()
    rates = [[n / sum(row) for n in row] for row in confusion]
    image = axes.imshow(rates, cmap="Blues", vmin=0, vmax=1)
    for i, row in enumerate(confusion):
        for j, n in enumerate(row):
            colour = "white" if rates[i][j] > 0.5 else "black"
            axes.text(j, i, f"{rates[i][j]:.2f}\n{n}", ha="center", va="center", color=colour)
    axes.set_xticks(range(len(LABELS)), LABELS, rotation=30, ha="right")
    axes.set_yticks(range(len(LABELS)), LABELS)
    axes.set_xlabel("answered")
    axes.set_ylabel("composer")
    axes.set_title("Version 2, all folds: share of the row, windows")
    figure.colorbar(image, ax=axes, shrink=0.8)
    figure.savefig(path, dpi=110, metadata={"Software": None})
