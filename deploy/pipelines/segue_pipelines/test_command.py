"""Every pipeline has the same command line: verbs, help, one JSON document."""

import argparse
import json
from pathlib import Path

import pytest

from segue_pipelines import command


def _pipeline(calls: list[tuple[object, ...]]) -> command.Pipeline:
    def evaluate(results: Path) -> command.Document:
        calls.append(("evaluate", results))
        return {"accuracy": 0.5}

    def train(folder: Path, results: Path) -> command.Document:
        calls.append(("train", folder, results))
        return {"digests": {}}

    def count(options: argparse.Namespace) -> None:
        calls.append(("count", options.limit))

    extra = command.Verb(
        "count things",
        "--limit 3",
        lambda parser: parser.add_argument("--limit", type=int, default=2),
        count,
    )
    return command.Pipeline("wine", "About wine.", Path("r"), evaluate, train, {"count": extra})


@pytest.mark.parametrize(
    ("arguments", "call"),
    [
        (["evaluate"], ("evaluate", Path("r"))),
        (["evaluate", "--results", "other"], ("evaluate", Path("other"))),
        (["train", "--folder", "f"], ("train", Path("f"), Path("r"))),
        (["train", "--folder", "f", "--results", "s"], ("train", Path("f"), Path("s"))),
        (["count", "--limit", "9"], ("count", 9)),
    ],
)
def test_a_verb_gets_its_folders(arguments: list[str], call: tuple[object, ...]) -> None:
    calls: list[tuple[object, ...]] = []
    assert command.run(_pipeline(calls), arguments) == 0
    assert calls == [call]


def test_json_prints_one_document_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    command.run(_pipeline([]), ["evaluate", "--json"])
    assert json.loads(capsys.readouterr().out) == {"accuracy": 0.5}
    command.run(_pipeline([]), ["evaluate"])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("verb", ["evaluate", "train", "count"])
def test_help_shows_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        command.run(_pipeline([]), [verb, "--help"])
    assert left.value.code == 0
    assert f"Example: python -m wine {verb} --" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["fly"], ["count", "--limit", "x"], ["train", "--what"]])
def test_wrong_usage_exits_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        command.run(_pipeline([]), arguments)
    assert left.value.code == 2
