"""Which wording of system prompt and picture description the small model answers best: a table of scores.

  python prompt_layout.py MODEL.gguf [--show]

Each case is a dialogue of one or two user turns; a turn has the labels of the frames seen in it and a question.
It scores when every answer holds one of its expected words. The table is kept in prompt_layout.md.
"""

import argparse
import itertools
import sys

from language_model import greedy, load_gguf

DEFAULT_SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
SYSTEMS = {
    "smollm": DEFAULT_SYSTEM,
    "helpful": "You are a helpful AI assistant.",
    "parley": "You are a helpful AI assistant named Parley",
    "parley-call": "You are a helpful AI assistant named Parley, in a video call",
    "parley-short": "You are a helpful AI assistant named Parley. Answer in one short sentence.",
    "parley-sees": "You are a helpful AI assistant named Parley. The user shows you images and asks questions.",
}
TEMPLATES = {
    "image-shows": "The image shows {labels}.",
    "picture-shows": "The picture shows {labels}.",
    "image-of": "This is an image of {labels}.",
    "camera-shows": "The camera shows {labels}.",
    "i-show": "I am showing you {labels}.",
    "image-brackets": "[Image: {labels}]",
    "you-see": "You see {labels}.",
}
JOINERS = {"space": " ", "line": "\n"}

CAT, MOPED, ESPRESSO = "Egyptian cat", "moped", "espresso"
# (labels of the frames, question, accepted words in lower case) a turn.
CASES = [
    [([ESPRESSO], "What is the capital of France?", ["paris"])],
    [([CAT], "What is the capital of France?", ["paris"])],
    [([MOPED], "What is the capital of France?", ["paris"])],
    [([], "What is the capital of France?", ["paris"])],
    [([], "How many legs does a spider have?", ["eight", "8"])],
    [([ESPRESSO], "How many legs does a spider have?", ["eight", "8"])],
    [([CAT], "How many days are there in a week?", ["seven", "7"])],
    [([MOPED], "What color is the sky on a clear day?", ["blue"])],
    [([ESPRESSO], "What is two plus two?", ["four", "4"])],
    [([CAT], "What animal do you see?", ["cat"])],
    [([CAT, CAT], "What animal do you see?", ["cat"])],
    [(["tabby, tabby cat"], "What animal do you see?", ["cat"])],
    [(["golden retriever"], "What animal do you see?", ["retriever", "dog"])],
    [([ESPRESSO], "What do you see?", ["espresso", "coffee"])],
    [([MOPED], "What is in the picture?", ["moped", "scooter"])],
    [([CAT], "What do you see?", ["cat"])],
    [(["banana"], "What fruit is this?", ["banana"])],
    [(["laptop"], "What is this?", ["laptop", "computer"])],
    [([ESPRESSO], "What is the capital of France?", ["paris"]), ([CAT], "What animal do you see?", ["cat"])],
    [([ESPRESSO, CAT], "What is the capital of France?", ["paris"]), ([], "What animal do you see?", ["cat"])],
    [([CAT], "What animal do you see?", ["cat"]), ([ESPRESSO], "What is the capital of France?", ["paris"])],
    [([], "What is the capital of France?", ["paris"]), ([CAT], "What animal do you see?", ["cat"])],
    [([ESPRESSO], "What do you see?", ["espresso", "coffee"]), ([CAT], "What animal do you see?", ["cat"])],
    [([ESPRESSO, ESPRESSO], "What is the capital of France?", ["paris"]),
     ([ESPRESSO, CAT], "What animal do you see?", ["cat"])],
]


def with_article(label):
    """As engine/cpu/efficientnet/labels_bridge.cc puts it into the prompt."""
    return ("an " if label[0].lower() in "aeiou" else "a ") + label


def ids_of(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False).ids


def run(model, tokenizer, system, template, joiner, case, tokens):
    text = f"<|im_start|>system\n{system}<|im_end|>\n"
    answers = []
    good = True
    for labels, question, accepted in case:
        parts = [template.format(labels=with_article(label)) for label in labels] + [question]
        text += f"<|im_start|>user\n{joiner.join(parts)}<|im_end|>\n<|im_start|>assistant\n"
        answer = tokenizer.decode(greedy(model, ids_of(tokenizer, text), tokens, end=2))
        answers.append(answer)
        good = good and any(word in answer.lower() for word in accepted)
        text += f"{answer}<|im_end|>\n"
    return good, answers


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("gguf")
    parser.add_argument("--show", action="store_true", help="print every answer")
    parser.add_argument("--system", default=",".join(SYSTEMS))
    parser.add_argument("--template", default=",".join(TEMPLATES))
    parser.add_argument("--joiner", default=",".join(JOINERS))
    parser.add_argument("--tokens", type=int, default=32, help="looked at in an answer")
    arguments = parser.parse_args()
    model, tokenizer = load_gguf(arguments.gguf)
    print(f"| system | template | joiner | cases right of {len(CASES)} | wrong cases |\n|---|---|---|---|---|")
    for s, t, j in itertools.product(arguments.system.split(","), arguments.template.split(","),
                                     arguments.joiner.split(",")):
        right = 0
        wrong = []
        for number, case in enumerate(CASES, 1):
            good, answers = run(model, tokenizer, SYSTEMS[s], TEMPLATES[t], JOINERS[j], case, arguments.tokens)
            right += good
            if not good:
                wrong.append(str(number))
            if arguments.show:
                print(number, good, case, answers, file=sys.stderr)
        print(f"| {s} | {t} | {j} | {right} | {', '.join(wrong)} |", flush=True)


if __name__ == "__main__":
    main()
