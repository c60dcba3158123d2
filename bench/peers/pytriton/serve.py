"""The Triton server that the nvidia-pytriton wheel carries, with the Python
backend, the only one in the wheel, and ONNX Runtime in it.

    serve.py --port 8000 --workers 2 --dir EMPTY tiny=tiny.onnx cnn=cnn.onnx

The workers are the instances of each model, a process each.
"""

import argparse
import os
import pathlib
import shutil
import sys

import onnxruntime
import pytriton

TYPES = {"tensor(float)": "TYPE_FP32", "tensor(int64)": "TYPE_INT64"}


def tensors(nodes: list) -> str:
    """Write inputs or outputs as the configuration has them."""
    one = '{{ name: "{}" data_type: {} dims: [{}] }}'
    return ", ".join(one.format(n.name, TYPES[n.type], ", ".join(str(d) if isinstance(d, int) else "-1" for d in n.shape)) for n in nodes)


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--port", required=True)
    arguments.add_argument("--workers", type=int, required=True)
    arguments.add_argument("--dir", type=pathlib.Path, required=True)
    arguments.add_argument("models", nargs="+")
    parsed = arguments.parse_args()
    server = pathlib.Path(pytriton.__file__).parent / "tritonserver"

    # The backend looks for the stub of this Python beside its library.
    backends, repository = parsed.dir / "backends", parsed.dir / "models"
    shutil.copytree(server / "backends", backends)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    shutil.copy(server / "python_backend_stubs" / version / "triton_python_backend_stub", backends / "python")
    for model in parsed.models:
        name, path = model.split("=", 1)
        folder = repository / name
        (folder / "1").mkdir(parents=True)
        shutil.copy(pathlib.Path(__file__).with_name("model.py"), folder / "1")
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (folder / "config.pbtxt").write_text(
            f'name: "{name}"\nbackend: "python"\nmax_batch_size: 0\n'
            f"input [{tensors(session.get_inputs())}]\noutput [{tensors(session.get_outputs())}]\n"
            f"instance_group [{{ kind: KIND_CPU count: {parsed.workers} }}]\n"
            f'parameters {{ key: "path" value: {{ string_value: "{path}" }} }}\n'
        )
    environment = os.environ | {
        # The stub finds its packages by the first Python of the path, and no
        # longer its libraries by where it lies.
        "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": str(pathlib.Path(pytriton.__file__).parent.with_name("nvidia_pytriton.libs")),
    }
    os.execve(
        server / "bin" / "tritonserver",
        [
            "tritonserver", f"--model-repository={repository}", f"--backend-directory={backends}", "--http-address=127.0.0.1",
            f"--http-port={parsed.port}", "--allow-grpc=false", "--allow-metrics=false", "--log-info=false",
        ],
        environment,
    )


if __name__ == "__main__":
    main()
