"""What the training pipelines share: artifacts, their checks and their release.

An artifact is a folder with model.onnx and manifest.json: every file's size and
SHA-256, the signature of inputs and outputs, golden requests with the answers
that ONNX Runtime gives, labels, and where it came from. The version's digest is
"sha256:" and the SHA-256 of manifest.json.

The package never holds training data. Example::

    artifact = Artifact(model="wine", onnx=graph, goldens=[...], ...)
    release(artifact, version="1", folder=quickstart())
"""
