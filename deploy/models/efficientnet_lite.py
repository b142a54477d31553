"""EfficientNet-Lite from PyTorch's older file format to safetensors, without running what the file holds.

The file: five pickles one after the other (magic, protocol, machine, state dictionary, storage keys), then each
storage in the order of the keys: its count of elements, i64, and its elements. The unpickler below knows four
names and calls nothing else.
"""

import array
import collections
import io
import itertools
import math
import pickle
import struct

import safetensors_writer

MAGIC = 0x1950A86A20F9469CFC6C
STORAGES = {"FloatStorage": ("F32", 4), "LongStorage": ("I64", 8)}


class _Tensor:
    def __init__(self, storage, offset, shape, stride, *unused):
        self.storage, self.offset, self.shape, self.stride = storage, offset, list(shape), list(stride)

    def row_major(self, elements):
        """The tensor's elements in order; the file keeps convolutions in TensorFlow's order."""
        dimensions = [(size, step) for size, step in zip(self.shape, self.stride) if size != 1] or [(1, 1)]
        *outer, (size, step) = dimensions
        out = array.array(elements.typecode)
        for index in itertools.product(*(range(count) for count, _ in outer)):
            begin = self.offset + sum(i * s for i, (_, s) in zip(index, outer))
            out += elements[begin:begin + (size - 1) * step + 1:step]
        return out


class _Dictionary(collections.OrderedDict):
    """Takes the attributes of a pickled state dictionary and ignores them."""


class _Unpickler(pickle.Unpickler):
    NAMES = {
        ("collections", "OrderedDict"): _Dictionary,
        ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
        ("torch", "FloatStorage"): "FloatStorage",
        ("torch", "LongStorage"): "LongStorage",
    }

    def find_class(self, module, name):
        if (module, name) not in self.NAMES:
            raise ValueError(f"EfficientNet file: names {module}.{name}, which is not allowed")
        return self.NAMES[module, name]

    def persistent_load(self, reference):
        kind, storage, key, _, count, view = reference
        if kind != "storage" or view is not None:
            raise ValueError("EfficientNet file: a storage of an unknown kind")
        return storage, key, count


def _load(data):
    file = io.BytesIO(data)
    load = lambda: _Unpickler(file).load()
    if load() != MAGIC or load() != 1001 or load().get("little_endian") is not True:
        raise ValueError("EfficientNet file: not a PyTorch file of the expected format")
    state, keys = load(), load()
    kinds = {tensor.storage[1]: tensor.storage[0] for tensor in state.values()}
    storages = {}
    for key in keys:
        size = STORAGES[kinds[key]][1]
        (count,) = struct.unpack("<q", file.read(8))
        raw = file.read(count * size)
        if count < 0 or len(raw) != count * size:
            raise ValueError("EfficientNet file: truncated")
        storages[key] = raw
    return state, storages


def weights(data):
    """The .pth file's bytes to model.safetensors' bytes; fp32, names as they are."""
    try:
        state, storages = _load(data)
    except (pickle.UnpicklingError, struct.error, EOFError) as error:
        raise ValueError("EfficientNet file: truncated") from error
    tensors = {}
    for name, tensor in state.items():
        kind, key, _ = tensor.storage
        dtype, _ = STORAGES[kind]
        if dtype != "F32":  # counters of training batches
            continue
        elements = array.array("f", storages[key])
        values = tensor.row_major(elements)
        if len(values) != math.prod(tensor.shape):
            raise ValueError(f"EfficientNet file: {name} has the wrong size")
        tensors[name] = (dtype, tensor.shape, values.tobytes())
    return safetensors_writer.serialize(tensors)
