"""The cross-validation's figures are sane, and both versions beat the majority class."""

import json
from pathlib import Path

import pytest

from tabular import cli


def test_evaluate_writes_what_it_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", "--json", "--results", str(tmp_path)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "results.json").read_text()) == document
    models = document["models"]
    majority = models["majority class"]
    assert majority["accuracy_mean"] == pytest.approx(71 / 178, abs=0.02)
    for version in ("version 1", "version 2"):
        assert models[version]["folds"] == 20
        assert majority["accuracy_mean"] + 0.3 < models[version]["accuracy_mean"] <= 1
        assert models[version]["log_loss_mean"] < majority["log_loss_mean"]
    assert (
        f"| version 1 | {models['version 1']['accuracy_mean']:.3f} ±"
        in (tmp_path / "results.md").read_text()
    )
