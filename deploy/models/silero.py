"""Silero VAD, the 16 kHz half of silero_vad.jit, to safetensors with the names of silero_vad_16k.safetensors.

The package's own silero_vad_16k.safetensors holds the weights of an older version: its probabilities differ from
those of silero_vad.jit and the ONNX files by up to 0.2.
"""

import safetensors_writer
import torch_files


def weights(data):
    root, storages = torch_files.load_script(data)
    model = vars(root)["_model"]

    def find(path):
        node = model
        for name in path.split("/"):
            node = vars(node)[name]
        return "F32", node.shape, node.values(storages)

    tensors = {"stft_conv.weight": find("stft/forward_basis_buffer")}
    for index in range(4):
        for kind in ("weight", "bias"):
            tensors[f"conv{index + 1}.{kind}"] = find(f"encoder/{index}/reparam_conv/{kind}")
    for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        tensors[f"lstm_cell.{kind}"] = find(f"decoder/rnn/{kind}")
    for kind in ("weight", "bias"):
        tensors[f"final_conv.{kind}"] = find(f"decoder/decoder/2/{kind}")
    return safetensors_writer.serialize(tensors)
