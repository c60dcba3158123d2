"""A release writes artifact and digest together and leaves the rest of a document alone."""

import json
import subprocess
from pathlib import Path

import pytest

from segue_pipelines import __main__ as program
from segue_pipelines import release, verify
from segue_pipelines.artifact import Artifact


def test_a_release_changes_only_the_digest_of_its_version(double: Artifact, folder: Path) -> None:
    before = (folder / "double.yaml").read_text()
    digest = release.release(double, "1", folder)
    after = (folder / "double.yaml").read_text()
    assert after == before.replace('digest: ""', f'digest: "{digest}"')
    assert (folder / "models" / "double" / "1" / "model.onnx").read_bytes() == double.onnx


@pytest.mark.parametrize(
    "text", ["versions: {}", '{uri: "u", digest: "a"} {uri: "u", digest: "b"}']
)
def test_a_version_that_is_not_named_exactly_once_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not 1"):
        release.with_digest(text, "u", "sha256:new")


def test_documents_and_artifacts_that_disagree_are_named(double: Artifact, folder: Path) -> None:
    digest = release.release(double, "1", folder)
    assert list(verify.document_problems(folder, "double")) == ["models/double/10 does not exist"]
    release.release(double, "10", folder)
    assert list(verify.document_problems(folder, "double")) == []
    document = folder / "double.yaml"
    document.write_text(document.read_text().replace(digest, "sha256:stale", 1))
    assert list(verify.document_problems(folder, "double")) == [
        f"models/double/1: document says sha256:stale, artifact is {digest}"
    ]
    document.write_text("model: double\n")
    assert list(verify.document_problems(folder, "double")) == [
        "models/double/1 is in no version",
        "models/double/10 is in no version",
    ]


def test_verify_exits_1_if_anything_is_wrong(
    double: Artifact, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(["verify", "--folder", str(folder), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["problems"] == {"models": ["no artifacts"]}
    digests = [release.release(double, version, folder) for version in ("1", "10")]
    assert program.main(["verify", "--folder", str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["sound"] is True
    assert list(told["digests"].values()) == digests


def test_the_commit_is_stated_only_if_it_holds_the_code(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run([*command, *arguments], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    assert release.commit(tmp_path) == "", "not a repository"
    git("init", "--quiet")
    (tmp_path / "code.py").write_text("x = 1\n")
    assert release.commit(tmp_path) == "", "nothing committed"
    git("add", ".")
    git("commit", "--quiet", "--no-gpg-sign", "-m", "a")
    assert release.commit(tmp_path) == git("rev-parse", "HEAD")
    (tmp_path / "results.md").write_text("figures\n")
    assert release.commit(tmp_path) == git("rev-parse", "HEAD"), "results are not code"
    (tmp_path / "code.py").write_text("x = 2\n")
    assert release.commit(tmp_path) == "", "changed since"


def test_an_example_request_is_written_beside_the_documents(folder: Path) -> None:
    release.write_request(folder, "double", {"inputs": []})
    assert json.loads((folder / "requests" / "double.json").read_text()) == {"inputs": []}
