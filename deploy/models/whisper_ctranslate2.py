"""Whisper from a CTranslate2 container (version 6) to the Hugging Face layout.

The container: magic u32, specification's name, revision u32, tensor count u32; per tensor its name (u16 length
with the closing NUL), rank u8, dimensions u32, element type u8, byte count u32, data; then aliases. Projections
are fused along their outputs: query, key and value in self attention, key and value in cross attention.
"""

import json
import math
import struct

import safetensors_writer

FLOAT16 = 4
ELEMENT_BYTES = {0: 4, 1: 1, 2: 2, 3: 4, 4: 2}


class _Reader:
    def __init__(self, data):
        self.data, self.position = data, 0

    def number(self, code):
        size = struct.calcsize("<" + code)
        value = struct.unpack_from("<" + code, self.data, self.position)[0]
        self.position += size
        return value

    def bytes(self, count):
        if count > len(self.data) - self.position:
            raise ValueError("Whisper container: truncated")
        self.position += count
        return self.data[self.position - count:self.position]

    def string(self):
        return self.bytes(self.number("H"))[:-1].decode()


def _tensors(data):
    reader = _Reader(data)
    try:
        version, specification = reader.number("I"), reader.string()
        if version != 6 or specification != "WhisperSpec":
            raise ValueError(f"Whisper container: version {version} of {specification} is not known")
        reader.number("I")
        tensors = {}
        for _ in range(reader.number("I")):
            name = reader.string()
            shape = [reader.number("I") for _ in range(reader.number("B"))]
            kind = reader.number("B")
            raw = reader.bytes(reader.number("I"))
            if len(raw) != math.prod(shape) * ELEMENT_BYTES[kind]:
                raise ValueError(f"Whisper container: {name} has the wrong size")
            tensors[name] = (kind, shape, raw)
        return tensors
    except struct.error as error:
        raise ValueError("Whisper container: truncated") from error


class _Layout:
    def __init__(self, tensors):
        self.tensors, self.out = tensors, {}

    def put(self, name, source, begin=0, end=None, shape=None):
        """Rows [begin, end) of a tensor."""
        kind, full, raw = self.tensors[source]
        if kind != FLOAT16:
            raise ValueError(f"Whisper container: {source} is not fp16")
        end = full[0] if end is None else end
        row = len(raw) // full[0]
        self.out[name] = ("F16", shape or [end - begin, *full[1:]], raw[begin * row:end * row])

    def norm(self, name, source):
        self.put(name + ".weight", source + "/gamma")
        self.put(name + ".bias", source + "/beta")

    def linear(self, name, source):
        self.put(name + ".weight", source + "/weight")
        self.put(name + ".bias", source + "/bias")

    def fused(self, prefix, source, parts, width):
        for index, part in enumerate(parts):
            begin, end = index * width, (index + 1) * width
            self.put(f"{prefix}.{part}_proj.weight", source + "/weight", begin, end)
            if part == "k":  # Whisper's keys have no bias; the container stores zeros
                if any(self.tensors[source + "/bias"][2][begin * 2:end * 2]):
                    raise ValueError(f"Whisper container: {source} has a bias for its keys")
            else:
                self.put(f"{prefix}.{part}_proj.bias", source + "/bias", begin, end)


def _layers(tensors, side):
    count = 0
    while f"{side}/layer_{count}/ffn/linear_0/weight" in tensors:
        count += 1
    return count


def weights(data):
    """The container's bytes to model.safetensors' bytes; weights keep their fp16."""
    tensors = _tensors(data)
    layout = _Layout(tensors)
    width = tensors["decoder/embeddings/weight"][1][1]
    for conv in ("conv1", "conv2"):
        layout.linear(f"model.encoder.{conv}", f"encoder/{conv}")
    for side in ("encoder", "decoder"):
        layout.put(f"model.{side}.embed_positions.weight", f"{side}/position_encodings/encodings")
        layout.norm(f"model.{side}.layer_norm", f"{side}/layer_norm")
        for index in range(_layers(tensors, side)):
            to, source = f"model.{side}.layers.{index}", f"{side}/layer_{index}"
            layout.norm(f"{to}.self_attn_layer_norm", f"{source}/self_attention/layer_norm")
            layout.fused(f"{to}.self_attn", f"{source}/self_attention/linear_0", "qkv", width)
            layout.linear(f"{to}.self_attn.out_proj", f"{source}/self_attention/linear_1")
            if side == "decoder":
                layout.norm(f"{to}.encoder_attn_layer_norm", f"{source}/attention/layer_norm")
                layout.linear(f"{to}.encoder_attn.q_proj", f"{source}/attention/linear_0")
                layout.fused(f"{to}.encoder_attn", f"{source}/attention/linear_1", "kv", width)
                layout.linear(f"{to}.encoder_attn.out_proj", f"{source}/attention/linear_2")
            layout.norm(f"{to}.final_layer_norm", f"{source}/ffn/layer_norm")
            layout.linear(f"{to}.fc1", f"{source}/ffn/linear_0")
            layout.linear(f"{to}.fc2", f"{source}/ffn/linear_1")
    layout.put("model.decoder.embed_tokens.weight", "decoder/embeddings/weight")
    return safetensors_writer.serialize(layout.out)


def config(data):
    """The package's config.json (token lists) and Whisper base's shape to Hugging Face's config.json."""
    given = json.loads(data)
    base = {
        "model_type": "whisper",
        "architectures": ["WhisperForConditionalGeneration"],
        "activation_function": "gelu",
        "d_model": 512,
        "encoder_layers": 6,
        "encoder_attention_heads": 8,
        "encoder_ffn_dim": 2048,
        "decoder_layers": 6,
        "decoder_attention_heads": 8,
        "decoder_ffn_dim": 2048,
        "num_mel_bins": 80,
        "max_source_positions": 1500,
        "max_target_positions": 448,
        "vocab_size": 51865,
        "bos_token_id": 50257,
        "eos_token_id": 50257,
        "pad_token_id": 50257,
        "decoder_start_token_id": 50258,
        "scale_embedding": False,
        "tie_word_embeddings": True,
        "suppress_tokens": given["suppress_ids"],
        "begin_suppress_tokens": given["suppress_ids_begin"],
    }
    return json.dumps(base, indent=2).encode() + b"\n"
