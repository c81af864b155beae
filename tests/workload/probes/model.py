"""A language model with random weights: saves it, or loads it and prints a token at a time.

It runs on the node and in a sandbox. Each line of output has a number and a token; after CYCLE
tokens the model begins with its prompt again, so the tokens repeat.
"""

import argparse
import time
from pathlib import Path
from typing import Any

# Llama's architecture: 20 million, 1.1 and 5.5 billion parameters of two bytes.
SHAPES: dict[str, dict[str, int]] = {
    "tiny": {
        "hidden_size": 256,
        "intermediate_size": 688,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
    },
    "1b": {
        "hidden_size": 2048,
        "intermediate_size": 5632,
        "num_hidden_layers": 22,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
    },
    "5b": {
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 26,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
    },
}
CYCLE, PROMPT = 32, 32
# A restored program prints its next token at most this much later than it could.
PAUSE_SECONDS = 0.02


def main() -> None:
    """Save a model of a size in a folder, or serve the one in it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--save", choices=SHAPES)
    arguments = parser.parse_args()
    if arguments.save:
        save(arguments.save, arguments.folder)
    else:
        serve(arguments.folder)


def device() -> str:
    """The first GPU, or the processor where there is none."""
    import torch

    # bfloat16 is the type of the saved weights, and of all that is made here.
    torch.set_default_dtype(torch.bfloat16)
    return "cuda" if torch.cuda.is_available() else "cpu"


def save(size: str, folder: Path) -> None:
    """Save a model with random weights; it needs no network."""
    import torch
    import transformers

    torch.manual_seed(0)
    configuration = transformers.LlamaConfig(**SHAPES[size])
    with torch.device(device()):
        model = transformers.LlamaForCausalLM(configuration)
    model.save_pretrained(folder)
    print(sum(each.numel() for each in model.parameters()), flush=True)


def serve(folder: Path) -> None:
    """Print a number and a token, endlessly."""
    import torch
    import transformers

    place = device()
    model = transformers.LlamaForCausalLM.from_pretrained(folder).to(place).eval()
    prompt = torch.arange(1, 1 + PROMPT, device=place)[None]
    number = 0
    with torch.inference_mode():
        while True:
            for token in cycle(model, prompt):
                number += 1
                print(number, token, flush=True)
                time.sleep(PAUSE_SECONDS)


def cycle(model: Any, prompt: Any) -> Any:  # noqa: ANN401 - torch is the user's
    """Yield the likeliest next tokens after a prompt, each at most once.

    Random weights would soon repeat one token, and a wrong restore could then go unseen.
    """
    cache, inputs = None, prompt
    used: list[int] = []
    for _ in range(CYCLE):
        found = model(inputs, past_key_values=cache, use_cache=True)
        logits = found.logits[:, -1:]
        logits[..., used] = float("-inf")
        cache, inputs = found.past_key_values, logits.argmax(-1)
        used.append(int(inputs))
        yield used[-1]


if __name__ == "__main__":
    main()
