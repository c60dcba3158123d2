"""The exported graphs answer as scikit-learn does."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from segue_pipelines import verify
from segue_pipelines.release import quickstart
from segue_pipelines.session import Session
from segue_pipelines.tensor import Tensor
from tabular import estimators, export, pack

DATA = estimators.load()
FITTED = estimators.fit(DATA)


@pytest.mark.parametrize("version", FITTED)
def test_probabilities_are_scikit_learns_within_1e5(version: str) -> None:
    session = Session(export.export(FITTED[version], DATA))
    spread = np.random.default_rng(5).normal(size=(300, len(DATA.names)))
    odd = DATA.features.mean(axis=0) + 4 * DATA.features.std(axis=0) * spread
    for rows in (DATA.features, odd, odd[:1], odd[:0]):
        exact = rows.astype(np.float32)
        probabilities, label = session.run([Tensor(export.FEATURES, exact)])
        if len(rows):
            wanted = FITTED[version].predict_proba(exact)
            np.testing.assert_allclose(probabilities.array, wanted, atol=1e-5)
            np.testing.assert_array_equal(label.array, probabilities.array.argmax(axis=1))
        assert probabilities.array.shape == (len(rows), 3)
        assert label.array.shape == (len(rows),)


def test_the_released_versions_are_these_estimators() -> None:
    sample = pack.inputs(DATA, 50, 9)
    for version, fitted in FITTED.items():
        folder = quickstart() / "models" / "wine" / version
        probabilities, _ = Session((folder / "model.onnx").read_bytes()).run([sample])
        wanted = fitted.predict_proba(sample.array)
        # Other processors may end the fit at slightly other weights.
        np.testing.assert_allclose(probabilities.array, wanted, atol=2e-3)
        assert list(verify.problems(folder)) == []


@pytest.mark.parametrize(
    "classifier",
    [DecisionTreeClassifier(), MLPClassifier((4,), activation="tanh", max_iter=5)],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_classifier_without_a_graph_is_refused(classifier: object) -> None:
    fitted = make_pipeline(StandardScaler(), classifier).fit(DATA.features, DATA.targets)
    with pytest.raises(TypeError, match="no graph for a"):
        export.export(fitted, DATA)


def test_a_scaler_without_a_graph_is_refused() -> None:
    fitted = make_pipeline(MinMaxScaler(), LogisticRegression()).fit(DATA.features, DATA.targets)
    with pytest.raises(TypeError, match="no graph for a MinMaxScaler"):
        export.export(fitted, DATA)


def test_golden_measurements_are_no_wine_of_the_data() -> None:
    made = pack.inputs(DATA, 4, 2).array
    known = DATA.features.astype(np.float32)
    assert not (made[:, None, :] == known[None]).all(axis=2).any()
