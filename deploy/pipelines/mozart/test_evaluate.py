"""The cross-validation and its tables, on patterns instead of scores."""

import json
from pathlib import Path

import pytest

from mozart import LABELS, cli, evaluate
from mozart.conftest import TINY
from mozart.dataset import Dataset

COMPETITORS = ["majority class", "nearest centroid", "CNN, version 1", "CNN, version 2"]


def test_evaluate_judges_every_competitor_in_every_fold(
    patterns: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("mozart.dataset.load", lambda: patterns)
    monkeypatch.setattr(evaluate, "ARCHITECTURES", {"1": TINY, "2": TINY})
    monkeypatch.setattr(evaluate, "FOLDS", 3)
    assert cli.main(["evaluate", "--json", "--results", str(tmp_path)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "folds.json").read_text()) == document
    assert len(document["folds"]) == 3
    assert sum(f["test_windows"] for f in document["folds"]) == len(patterns)
    for fold in document["folds"]:
        assert list(fold["models"]) == COMPETITORS
        assert fold["train_windows"] + fold["test_windows"] == len(patterns)
    summary = document["summary"]
    majority = summary["majority class"]
    assert majority["balanced_accuracy_mean"] == pytest.approx(0.2)
    # The two networks are the same here, so they must get the same figures.
    assert summary["CNN, version 1"] == summary["CNN, version 2"]
    for figures in summary.values():
        mean = [f["models"][name]["accuracy"] for f in document["folds"] for name in [*summary]]
        assert 0 <= figures["accuracy_mean"] <= max(mean)
        pooled = figures["pooled_confusion"]
        assert [sum(row) for row in pooled] == [24] * len(LABELS)
    table = (tmp_path / "folds.md").read_text()
    assert f"| {majority['accuracy_mean']:.3f} ± {majority['accuracy_deviation']:.3f} |" in table
    assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_the_results_in_the_repository_are_of_this_data() -> None:
    document = json.loads((cli.RESULTS / "folds.json").read_text())
    assert (document["seed"], len(document["folds"])) == (evaluate.SEED, evaluate.FOLDS)
    assert list(document["summary"]) == COMPETITORS
    held = [work for fold in document["folds"] for work in fold["held_out_mozart"]]
    assert sorted(held) == [f"mozart/k{n}" for n in ("155", "156", "458", "545", "80")]
    accuracy = {name: figures["accuracy_mean"] for name, figures in document["summary"].items()}
    assert accuracy["majority class"] < accuracy["CNN, version 1"] < accuracy["CNN, version 2"]


def test_the_spoilt_version_is_confident_and_wrong() -> None:
    versions = json.loads((cli.RESULTS / "released.json").read_text())["versions"]
    usual = {version: figures["none"] for version, figures in versions.items()}
    assert usual["1"]["accuracy"] < usual["2"]["accuracy"]
    assert usual["3"]["accuracy"] < 0.25
    assert usual["3"]["mean_confidence"] > usual["2"]["mean_confidence"]
