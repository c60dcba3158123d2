"""Tells the cultivar of a wine from thirteen measurements, with scikit-learn.

Two versions are trained on the data set that scikit-learn carries and written as
ONNX graphs; scikit-learn's own predict_proba is the oracle. No row of the data is
released.

Example::

    python -m tabular evaluate
    python -m tabular train
"""

MODEL = "wine"
"""The model's name in documents and requests."""
