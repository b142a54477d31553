"""Writes safetensors (https://github.com/huggingface/safetensors, "Format") from raw little-endian bytes."""

import json
import struct


def serialize(tensors):
    """tensors: {name: (dtype, shape, bytes)}, dtype "F16" or "F32". The same input gives the same bytes."""
    header, offset, blobs = {}, 0, []
    for name in sorted(tensors):
        dtype, shape, data = tensors[name]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
        blobs.append(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(blobs)
