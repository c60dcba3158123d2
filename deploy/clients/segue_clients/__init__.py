"""What the tests of public clients stand on: a real gateway, models, and ONNX Runtime as oracle.

Nothing here imports the gateway's code: the wire is written down a second time, from the
published protocols, so that a mistake cannot hide on both sides. Nothing here reaches
beyond loopback.

    with Gateway(binary, folder) as gateway:
        answer = Wire(gateway.data).infer("echo", [Tensor("x", array)])
"""
