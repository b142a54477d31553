"""Reads the tensors of PyTorch files without running what the files hold.

A PyTorch file is a pickle that names functions to call. The unpickler below knows a handful of names, all of
them its own harmless stand-ins, and refuses every other one.
"""

import array
import collections
import io
import itertools
import math
import pickle
import struct
import zipfile

ELEMENT_BYTES = {"FloatStorage": 4, "LongStorage": 8}


class Tensor:
    """A view into a storage, as the pickle describes it."""

    def __init__(self, storage, offset, shape, stride, *unused):
        self.kind, self.key = storage
        self.offset, self.shape, self.stride = offset, list(shape), list(stride)

    def values(self, storages):
        """The elements in row-major order, as bytes; a file may keep convolutions in TensorFlow's order."""
        elements = array.array("f" if self.kind == "FloatStorage" else "q", storages[self.key])
        dimensions = [(size, step) for size, step in zip(self.shape, self.stride) if size != 1] or [(1, 1)]
        *outer, (size, step) = dimensions
        out = array.array(elements.typecode)
        for index in itertools.product(*(range(count) for count, _ in outer)):
            begin = self.offset + sum(i * s for i, (_, s) in zip(index, outer))
            out += elements[begin:begin + (size - 1) * step + 1:step]
        if len(out) != math.prod(self.shape):
            raise ValueError("PyTorch file: a tensor reaches past its storage")
        return out.tobytes()


class Module:
    """A scripted module: its attributes, and nothing to call."""


class _Dictionary(collections.OrderedDict):
    """Takes the attributes of a pickled state dictionary and ignores them."""


class _Unpickler(pickle.Unpickler):
    NAMES = {
        ("collections", "OrderedDict"): _Dictionary,
        ("torch._utils", "_rebuild_tensor_v2"): Tensor,
        ("torch.jit._pickle", "build_intlist"): list,
        ("torch", "FloatStorage"): "FloatStorage",
        ("torch", "LongStorage"): "LongStorage",
    }

    def find_class(self, module, name):
        if module.startswith("__torch__."):
            return Module
        if (module, name) not in self.NAMES:
            raise ValueError(f"PyTorch file: names {module}.{name}, which is not allowed")
        return self.NAMES[module, name]

    def persistent_load(self, reference):
        if reference[0] != "storage" or reference[1] not in ELEMENT_BYTES:
            raise ValueError("PyTorch file: a storage of an unknown kind")
        return reference[1], reference[2]


def load_state(data):
    """A state dictionary in the format before PyTorch 1.6: {name: Tensor}, {storage key: bytes}.

    Five pickles one after the other (magic, protocol, machine, state dictionary, storage keys), then each
    storage in the order of the keys: its count of elements, i64, and its elements.
    """
    try:
        file = io.BytesIO(data)
        magic, protocol, machine, state, keys = (_Unpickler(file).load() for _ in range(5))
        if magic != 0x1950A86A20F9469CFC6C or protocol != 1001 or machine.get("little_endian") is not True:
            raise ValueError("PyTorch file: not of the expected format")
        kinds = {tensor.key: tensor.kind for tensor in state.values()}
        storages = {}
        for key in keys:
            size = struct.unpack("<q", file.read(8))[0] * ELEMENT_BYTES[kinds[key]]
            storages[key] = file.read(size)
            if size < 0 or len(storages[key]) != size:
                raise ValueError("PyTorch file: truncated")
        return state, storages
    except (pickle.UnpicklingError, struct.error, EOFError) as error:
        raise ValueError("PyTorch file: truncated") from error


def load_script(data):
    """A TorchScript archive: its root Module, {storage key: bytes}."""
    archive = zipfile.ZipFile(io.BytesIO(data))
    (root,) = [name[:-len("data.pkl")] for name in archive.namelist() if name.count("/") == 1 and
               name.endswith("/data.pkl")]
    module = _Unpickler(io.BytesIO(archive.read(root + "data.pkl"))).load()
    prefix = root + "data/"
    return module, {name[len(prefix):]: archive.read(name) for name in archive.namelist() if name.startswith(prefix)}
