"""A small GGUF with a tensor of each type that is read, and what the `gguf` package makes of each.

  python gguf_types.py OUT_FOLDER

Types that the package cannot quantise to (the K types) get random blocks with sane scales: any block is valid.
Writes types.gguf and types.json.
"""

import json
import sys

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as Type, GGUFReader, GGUFWriter
from gguf.quants import dequantize, quantize

ROWS, COLUMNS = 2, 256
HALF_FIELDS = {Type.Q4_K: (0, 2), Type.Q5_K: (0, 2), Type.Q6_K: (208,)}  # offsets of the fp16 scales in a block


def blocks(kind, values, random):
    if kind not in HALF_FIELDS:
        return quantize(values, kind)
    block_values, block_bytes = GGML_QUANT_SIZES[kind]
    data = random.integers(0, 256, (ROWS * COLUMNS // block_values, block_bytes), dtype=np.uint8)
    for offset in HALF_FIELDS[kind]:
        data[:, offset:offset + 2] = random.uniform(0.001, 0.02, (len(data), 1)).astype(np.float16).view(np.uint8)
    return data.reshape(ROWS, -1)


def main():
    folder = sys.argv[1]
    random = np.random.default_rng(7)
    values = random.standard_normal((ROWS, COLUMNS)).astype(np.float32)
    writer = GGUFWriter(f"{folder}/types.gguf", "llama")
    writer.add_string("test.text", "grüße")
    writer.add_array("test.strings", ["a", "", "ü"])
    writer.add_array("test.integers", [1, -2, 3])
    writer.add_array("test.floats", [0.5, -1.25])
    writer.add_uint32("test.uint32", 7)
    writer.add_float32("test.float32", 0.5)
    writer.add_bool("test.bool", True)
    kinds = [Type.F32, Type.F16, Type.BF16, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0, Type.Q4_K,
             Type.Q5_K, Type.Q6_K]
    for kind in kinds:
        data = {Type.F32: lambda: values, Type.F16: lambda: values.astype(np.float16)}.get(
            kind, lambda: blocks(kind, values, random))()
        writer.add_tensor(f"{kind.name}.weight", data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    expected = {}
    for tensor in GGUFReader(f"{folder}/types.gguf").tensors:
        floats = dequantize(tensor.data, tensor.tensor_type).reshape(ROWS, COLUMNS)
        expected[tensor.name] = [float(v) for v in floats.flatten()[::3]]  # every third: 171 of 512
    with open(f"{folder}/types.json", "w") as file:
        json.dump({"rows": ROWS, "columns": COLUMNS, "stride": 3, "tensors": expected}, file, separators=(",", ":"))


if __name__ == "__main__":
    main()
