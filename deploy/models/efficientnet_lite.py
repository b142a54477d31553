"""EfficientNet-Lite from its PyTorch file to safetensors: fp32, names as they are."""

import safetensors_writer
import torch_files


def weights(data):
    state, storages = torch_files.load_state(data)
    return safetensors_writer.serialize({
        name: ("F32", tensor.shape, tensor.values(storages))
        for name, tensor in state.items()
        if tensor.kind == "FloatStorage"  # the others count training batches
    })
