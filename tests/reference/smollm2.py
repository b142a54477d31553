"""SmolLM2's logits and greedy tokens on ten chat prompts, by transformers in fp32: smollm2.json.

  python smollm2.py MODEL.gguf > smollm2.json

Weights are the GGUF's, dequantised by the `gguf` package. At five positions a prompt: the eight largest logits,
64 more spread over the vocabulary, and the logarithm of the sum of exponentials.
"""

import json
import sys

import torch
from language_model import greedy, load_gguf

SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
PROMPTS = [
    "What is the capital of France?",
    "The image shows an Egyptian cat. What animal do you see?",
    "How many legs does a spider have?",
    "Write a short poem about the sea.",
    "Explain in two sentences why the sky is blue.",
    "Give me a recipe for pancakes.",
    "What is 12 plus 30? Show how you got there.",
    "Translate 'good morning' into French, Spanish and Italian.",
    "Write a Python function that reverses a string.",
    "The image shows an espresso. What should I eat with it at 7 o'clock in the morning?",
]
GREEDY = 64
STRIDE = 768  # 49,152 / 64


def facts(row):
    top = torch.topk(row, 8).indices.tolist()
    at = top + list(range(5, row.numel(), STRIDE))
    return {"at": at, "logits": [round(float(row[i]), 5) for i in at], "log_sum_exp": float(torch.logsumexp(row, 0))}


def main():
    model, tokenizer = load_gguf(sys.argv[1])
    prompts = []
    for text in PROMPTS:
        chat = (f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{text}<|im_end|>\n"
                "<|im_start|>assistant\n")
        ids = tokenizer.encode(chat, add_special_tokens=False).ids
        out = greedy(model, ids, GREEDY)
        with torch.inference_mode():
            logits = model(torch.tensor([ids + out])).logits[0]
        positions = [0, len(ids) // 2, len(ids) - 1, len(ids) + 20, len(ids) + GREEDY - 1]
        prompts.append({"text": text, "ids": ids, "greedy": out,
                        "positions": [{"position": p, **facts(logits[p])} for p in positions]})
    json.dump({"prompts": prompts}, sys.stdout, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()
