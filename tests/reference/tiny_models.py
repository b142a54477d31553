"""Small random checkpoints in the Hugging Face layout with transformers' logits: tests/reference/tiny_models/tiny_*.

  python tiny_models.py OUT_FOLDER

Qwen2 with separate Q, K and V (untied head), the same weights packed into W_pack, and Llama with a tied head and
Llama 3.1's rotary scaling. Weights are stored in bf16, and are exactly those the reference ran on.
"""

import json
import os
import sys

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

IDS = [3, 17, 60, 5, 5, 41, 22, 9, 63, 0, 30, 12]
SIZES = dict(vocab_size=64, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=128, rms_norm_eps=1e-6)


def randomise(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            scale = 0.3 if weight.dim() == 2 else 0.1
            values = torch.randn(weight.shape, generator=generator) * scale
            weight.copy_((values + 1 if "norm" in name else values).bfloat16().float())
    return model.eval()


def write(folder, model, config, packed=False):
    os.makedirs(folder, exist_ok=True)
    state = {k: v.bfloat16().contiguous() for k, v in model.state_dict().items()}
    if config["tie_word_embeddings"]:
        del state["lm_head.weight"]
    if packed:
        for layer in range(config["num_hidden_layers"]):
            for kind in ("weight", "bias"):
                prefix = f"model.layers.{layer}.self_attn."
                state[f"{prefix}W_pack.{kind}"] = torch.cat(
                    [state.pop(f"{prefix}{part}_proj.{kind}") for part in "qkv"])
    save_file(state, f"{folder}/model.safetensors")
    with open(f"{folder}/config.json", "w") as file:
        json.dump(config, file, indent=1)
    with torch.inference_mode():
        logits = model(torch.tensor([IDS])).logits[0]
    with open(f"{folder}/expected.json", "w") as file:
        json.dump({"ids": IDS, "logits": [[round(float(v), 6) for v in row] for row in logits]}, file,
                  separators=(",", ":"))


def main():
    out = sys.argv[1]
    base = dict(SIZES, rope_theta=10000.0, hidden_act="silu")
    qwen2 = randomise(Qwen2ForCausalLM(Qwen2Config(**SIZES, rope_theta=10000.0, tie_word_embeddings=False)), 1)
    config = dict(base, model_type="qwen2", tie_word_embeddings=False)
    write(f"{out}/tiny_qwen2", qwen2, config)
    write(f"{out}/tiny_packed", qwen2, dict(config, model_type="baichuan"), packed=True)
    scaling = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                   original_max_position_embeddings=32)
    llama = randomise(LlamaForCausalLM(LlamaConfig(**SIZES, rope_theta=10000.0, rope_scaling=dict(scaling),
                                                   tie_word_embeddings=True)), 2)
    print("llama rotary:", llama.config.rope_parameters if hasattr(llama.config, "rope_parameters") else llama.config.rope_scaling)
    write(f"{out}/tiny_llama", llama, dict(base, model_type="llama", tie_word_embeddings=True, rope_scaling=scaling))


if __name__ == "__main__":
    main()
