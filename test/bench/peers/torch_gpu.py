"""What PyTorch makes of the same networks on the GPU at hand: training steps on resident data, one JSON object a line.

  python3 torch_gpu.py [--batch 256] [--steps 20]

Needs torch and timm. Each set-up runs alone; seconds are the median of three rounds of `steps` steps after warming up, memory is the peak
that the allocator handed out.
"""
import argparse
import json
import statistics
import time

import timm
import torch

SETUPS = [
    (network, layout, mode)
    for network in ("skresnext50_32x4d", "resnext50_32x4d")
    for layout, mode in (
        ("channels_last", "eager"),
        ("contiguous_format", "eager"),
        ("channels_last", "max-autotune"),
        ("contiguous_format", "max-autotune"),
    )
]


def train_steps(network, layout, mode, batch):
    """One optimiser step as a function, bf16 autocast, SGD with momentum."""
    memory_format = getattr(torch, layout)
    torch.manual_seed(0)
    model = timm.create_model(network).to("cuda", memory_format=memory_format).train()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=1e-4, fused=True)
    images = torch.randn(batch, 3, 224, 224, device="cuda").to(memory_format=memory_format)
    labels = torch.randint(0, 1000, (batch,), device="cuda")
    forward = model if mode == "eager" else torch.compile(model, mode=mode)

    def step():
        with torch.autocast("cuda", torch.bfloat16):
            loss = torch.nn.functional.cross_entropy(forward(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def measure(step, steps):
    for _ in range(6):
        step()
    rounds = []
    for _ in range(3):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(steps):
            step()
        torch.cuda.synchronize()
        rounds.append((time.perf_counter() - start) / steps)
    return statistics.median(rounds)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args()
    torch.backends.cudnn.benchmark = True
    for network, layout, mode in SETUPS:
        torch._dynamo.reset()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        line = {"type": "peer", "torch": torch.__version__, "network": network, "layout": layout, "mode": mode, "batch": args.batch}
        try:
            seconds = measure(train_steps(network, layout, mode, args.batch), args.steps)
            line |= {"imagesPerSecond": args.batch / seconds, "secondsMedian": seconds, "memoryBytes": torch.cuda.max_memory_allocated()}
        except Exception as error:  # a set-up that PyTorch cannot run is a result, too
            line["failed"] = repr(error)[:300]
        print(json.dumps(line), flush=True)


main()
