"""A release of three versions: artifacts, digests, an example request."""

import json
from pathlib import Path

import numpy as np
import pytest

from mozart import LABELS, model, pack, synthetic
from mozart.conftest import untrained
from mozart.rolls import HELD, ONSET
from segue_pipelines import verify
from segue_pipelines.release import quickstart
from segue_pipelines.tensor import Tensor

DOCUMENT = "".join(
    f'"{v}": {{uri: "file:models/mozart/{v}", digest: ""}}\n' for v in ("1", "2", "3")
)


def test_three_versions_are_released_together(tmp_path: Path) -> None:
    (tmp_path / "mozart.yaml").write_text(DOCUMENT)
    strong = untrained(model.STRONG, 2)
    versions = {"1": untrained(model.WEAK, 1), "2": strong, "3": pack.spoil(strong)}
    digests = pack.write(versions, tmp_path, seed=7, fold=0)
    assert list(digests) == ["1", "2", "3"]
    assert list(verify.document_problems(tmp_path, "mozart")) == []
    for folder in verify.folders(tmp_path):
        assert list(verify.problems(folder)) == []
        manifest = json.loads((folder / "manifest.json").read_text())
        assert manifest["labels"] == {"probabilities": list(LABELS)}
        assert len(manifest["goldens"]) == 3
        assert manifest["provenance"]["data"].endswith("corpus, split seed 7")
    body = json.loads((tmp_path / "requests" / "mozart.json").read_text())
    roll = Tensor.from_json(body["inputs"][0]).array
    np.testing.assert_array_equal(roll[0, 0], synthetic.chords())


def test_versions_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mozart.yaml").write_text(DOCUMENT)
    network = untrained(model.WEAK, 1)
    with pytest.raises(ValueError, match="two versions answer a golden within 0"):
        pack.write({"1": network, "2": network}, tmp_path, seed=7, fold=0)
    assert not (tmp_path / "models").exists()


def test_goldens_of_the_released_versions_are_the_synthetic_rolls() -> None:
    wanted = [synthetic.scale(), synthetic.chords(), synthetic.noise(7)]
    for version in ("1", "2", "3"):
        path = quickstart() / "models" / "mozart" / version / "manifest.json"
        goldens = json.loads(path.read_text())["goldens"]
        for golden, roll in zip(goldens, wanted, strict=True):
            array = Tensor.from_json(golden["inputs"][0]).array
            np.testing.assert_array_equal(array, roll[None, None])


def test_the_scale_and_the_chords_are_what_they_say() -> None:
    scale = synthetic.scale()
    struck = [int(np.flatnonzero(scale[:, t] == ONSET)[0]) + 21 for t in range(0, 16, 2)]
    assert struck == [60, 62, 64, 65, 67, 69, 71, 72]
    assert (scale == ONSET).sum() == (scale == HELD).sum() == 64
    chords = synthetic.chords()
    assert (np.flatnonzero(chords[:, 0] == ONSET) + 21).tolist() == [60, 64, 67, 72]
    assert ((chords > 0).sum(axis=0) == 4).all()
    np.testing.assert_array_equal(synthetic.noise(7), synthetic.noise(7))
    assert (synthetic.noise(7) != synthetic.noise(8)).any()
