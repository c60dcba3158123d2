"""Drifted inputs are requests the model accepts, and say what they were made from."""

import json
from collections import Counter

import numpy as np
import pytest

from mozart import cli, drift, export, held_out, model, rolls
from mozart.conftest import untrained
from mozart.dataset import Dataset
from segue_pipelines.tensor import Tensor


def test_kinds_change_what_they_say(patterns: Dataset) -> None:
    made = {name: drift.KINDS[name].make(patterns) for name in ("none", "octave", "stretch")}
    assert made["none"] is patterns
    np.testing.assert_array_equal(made["octave"].rolls[:, 12:], patterns.rolls[:, :-12])
    struck = [(made[name].rolls == rolls.ONSET).sum() for name in ("none", "stretch")]
    assert struck[1] == pytest.approx(struck[0] / 2, rel=0.05)
    assert all((data.works == patterns.works).all() for data in made.values())


def test_requests_match_the_signature_and_name_their_truth(patterns: Dataset) -> None:
    lines = [json.loads(line) for line in drift.requests(patterns, limit=10, seed=1)]
    assert len(lines) == 10
    for body in lines:
        (tensor,) = (Tensor.from_json(t) for t in body["inputs"])
        assert export.ROLL.accepts(tensor)
        name, row = body["id"].rsplit("#", 1)
        assert name.split(":")[0] == patterns.composers[int(row)]
        np.testing.assert_array_equal(tensor.array[0, 0], patterns.rolls[int(row)])
    assert lines == [json.loads(line) for line in drift.requests(patterns, 10, 1)]
    assert len(list(drift.requests(patterns, 10**6, 1))) == len(patterns)


def test_windows_of_one_piece_are_bounded(patterns: Dataset) -> None:
    ids = [json.loads(line)["id"] for line in drift.requests(patterns, 10**6, 1, per_piece=2)]
    pieces = Counter(name.rsplit("#", 1)[0] for name in ids)
    assert len(pieces) == len(set(zip(patterns.composers, patterns.pieces, strict=True)))
    assert set(pieces.values()) <= {1, 2}
    assert len(list(drift.requests(patterns, 3, 1, per_piece=2))) == 3


def test_the_command_prints_requests(
    patterns: Dataset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mozart.dataset.load", lambda: patterns)
    assert cli.main(["drift", "octave", "--limit", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [len(json.loads(line)["inputs"]) for line in lines] == [1, 1, 1]


def test_accuracy_is_stated_only_where_the_composer_is_a_class(
    patterns: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Dataset(
        patterns.rolls[:5], np.array(["haydn"] * 5), np.array(["h"] * 5), np.array(["h"] * 5)
    )
    kinds = {"none": drift.KINDS["none"], "haydn": drift.Kind("", lambda _held_out: other)}
    monkeypatch.setattr(drift, "KINDS", kinds)
    found = held_out.measure({"1": untrained(model.WEAK, 0)}, patterns)
    versions = found["versions"]
    assert isinstance(versions, dict)
    assert "accuracy" in versions["1"]["none"]
    assert "accuracy" not in versions["1"]["haydn"]
    assert versions["1"]["haydn"]["windows"] == 5
    assert sum(versions["1"]["haydn"]["answers"].values()) == pytest.approx(1, abs=1e-3)
