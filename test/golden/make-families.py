"""One training step of each family of networks by PyTorch, in float64: what test/golden/families.test.ts compares the core with.

    pip install torch torchvision timm safetensors
    python test/golden/make-families.py          # rewrites families.json and families/*.safetensors beside this file

Whole networks of timm and torchvision follow in evaluation mode, with all their names and shapes.

Networks are small ones of each family, with the names and shapes of timm or torchvision where those have the family; what they lack is written
out below. Weights and images follow the fill rule of README.md, labels are (3 i) mod classes, so that only logits and gradients are stored.
Of several images the first is taken that keeps ReLUs and max-pools away from their kinks, which float32 could not tell apart.
"""

import json
import pathlib
from functools import partial

import numpy as np
import timm
import torch
import torchvision
from safetensors.torch import save_file
from timm.layers import SelectiveKernel, SEModule
from timm.models.resnet import Bottleneck, ResNet
from timm.models.sknet import SelectiveKernelBasic, SelectiveKernelBottleneck
from torch import nn
from torchvision.models.shufflenetv2 import ShuffleNetV2

HERE = pathlib.Path(__file__).parent
CLASSES = 10
BATCH = 8
MARGIN = 4e-6


# ---- the fill rule

def uniform(name, count):
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(h) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) * 2.0**-24


def filled(name, shape):
    count = int(np.prod(shape))
    u = uniform(name, count)
    if name.endswith("running_var"):
        values = 1 + 0.5 * u
    elif name.endswith("running_mean"):
        values = 0.1 * (2 * u - 1)
    elif len(shape) > 1:
        values = (2 * u - 1) * np.sqrt(6 / np.prod(shape[1:]))
    elif name.endswith("weight"):
        values = 1 + 0.1 * (2 * u - 1)
    else:
        values = 0.1 * (2 * u - 1)
    return torch.from_numpy(values.astype(np.float32).astype(np.float64)).reshape(shape)


def images(name, shape):
    values = (2 * uniform(name, int(np.prod(shape))) - 1) * np.sqrt(3)
    return torch.from_numpy(values.astype(np.float32).astype(np.float64)).reshape(shape)


# ---- networks

def resnet(block, channels, layers, cifar=False, stem=None, **kwargs):
    """timm's ResNet of fewer stages; `cifar`: a 3x3 stem of `stem` channels without pool."""
    stages = len(channels)
    fill = (channels[-1],) * (4 - stages)
    net = ResNet(block, list(layers) + [1] * (4 - stages), num_classes=CLASSES, channels=tuple(channels) + fill, zero_init_last=False, **kwargs)
    for stage in range(stages + 1, 5):
        setattr(net, f"layer{stage}", nn.Identity())
    net.fc = nn.Linear(channels[-1] * block.expansion, CLASSES)
    if cifar:
        net.conv1, net.maxpool = nn.Conv2d(3, stem, 3, padding=1, bias=False), nn.Identity()
        net.bn1 = nn.BatchNorm2d(stem)
        first = net.layer1[0]
        old = first.conv1.conv if hasattr(first.conv1, "conv") else first.conv1
        new = nn.Conv2d(stem, old.out_channels, 1, bias=False)
        if hasattr(first.conv1, "conv"):
            first.conv1.conv = new
        else:
            first.conv1 = new
        first.downsample[0] = nn.Conv2d(stem, first.downsample[0].out_channels, 1, bias=False)
    return net


def sk_args(**kwargs):
    return dict(block_args=dict(sk_kwargs=dict(split_input=False, **kwargs)))


def se_args(reduction):
    return dict(block_args=dict(attn_layer=partial(SEModule, rd_ratio=1 / reduction, rd_divisor=8)))


class Gate(nn.Module):
    """Squeeze and excitation as shufflenetv2 with SE has it behind its main branch."""

    def __init__(self, channels, width):
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Conv2d(channels, width, 1), nn.ReLU(), nn.Conv2d(width, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.fc2(self.act(self.fc1(x.mean((2, 3), keepdim=True)))))


def depthwise_sk(channels, stride, reduction=16, least=32):
    return SelectiveKernel(channels, stride=stride, groups=channels, split_input=False, rd_channels=max(channels // reduction, least))


def shufflenet(unit):
    net = ShuffleNetV2([2, 2, 1], [8, 12, 24, 48, 40], num_classes=CLASSES)
    for stage in (net.stage2, net.stage3, net.stage4):
        for block in stage:
            parts = dict(block.branch2.named_children())
            channels, stride = parts["3"].out_channels, parts["3"].stride[0]
            if unit == "se":
                parts["se"] = Gate(channels, max(channels // 4, 4))
            if unit == "sk":
                parts["3"] = depthwise_sk(channels, stride, 4, 8)
                del parts["4"]
            if unit != "plain":
                block.branch2 = nn.Sequential()
                for name, part in parts.items():
                    block.branch2.add_module(name, part)
    return net


class Separable(nn.Module):
    """A block of MobileNetV1: depthwise 3x3 (or an SK unit), then 1x1."""

    def __init__(self, channels, out, stride, sk):
        super().__init__()
        if sk:
            self.conv_dw, self.bn1, self.act1 = depthwise_sk(channels, stride, 4, 8), nn.Identity(), nn.Identity()
        else:
            self.conv_dw = nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False)
            self.bn1, self.act1 = nn.BatchNorm2d(channels), nn.ReLU()
        self.conv_pw, self.bn2, self.act2 = nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU()

    def forward(self, x):
        return self.act2(self.bn2(self.conv_pw(self.act1(self.bn1(self.conv_dw(x))))))


class MobileNet(nn.Module):
    def __init__(self, stem, plan, sk):
        super().__init__()
        self.conv1, self.bn1, self.act1 = nn.Conv2d(3, stem, 3, 2, 1, bias=False), nn.BatchNorm2d(stem), nn.ReLU()
        blocks, channels = [], stem
        for out, stride in plan:
            blocks.append(Separable(channels, out, stride, sk))
            channels = out
        self.blocks, self.fc = nn.Sequential(*blocks), nn.Linear(channels, CLASSES)

    def forward(self, x):
        return self.fc(self.blocks(self.act1(self.bn1(self.conv1(x)))).mean((2, 3)))


mobile_plan = [(16, 1), (32, 2), (32, 1), (64, 2)]
widths = dict(channels=(8, 16), layers=(1, 2), cardinality=4, base_width=32)
cifar_widths = dict(channels=(4, 8, 16), layers=(1, 1, 1), cardinality=4, base_width=64, cifar=True, stem=8)
residual = dict(blocks=[1, 2], midWidth=16, outWidth=32, groups=4)
cifar = dict(blocks=[1, 1, 1], stemWidth=8, midWidth=16, outWidth=16, groups=4)
light = dict(blocks=[2, 2, 1], stemWidth=8, outWidth=12, headWidth=40)
mobile = dict(blocks=[1, 2, 1], stemWidth=8, outWidth=16)
reduced = dict(reduction=4, minWidth=8)

# name -> our architecture, its options, side of the images, the same network in PyTorch.
FAMILIES = {
    "resnext": ("resnext50_32x4d", residual, 32, lambda: resnet(Bottleneck, **widths)),
    "se_resnext": ("seresnext50_32x4d", {**residual, "reduction": 4}, 32, lambda: resnet(Bottleneck, **widths, **se_args(4))),
    "sknet": ("sknet50", {**residual, **reduced}, 32, lambda: resnet(SelectiveKernelBottleneck, **widths, **sk_args(rd_ratio=1 / 4))),
    "sknet_real_kernels": (
        "sknet50",
        {**residual, **reduced, "blocks": [1, 1], "branches": [{"kernel": 3}, {"kernel": 5}, {"kernel": 7}]},
        32,
        lambda: resnet(SelectiveKernelBottleneck, **{**widths, "layers": (1, 1)}, **sk_args(rd_ratio=1 / 4, kernel_size=[3, 5, 7], keep_3x3=False)),
    ),
    "skresnet_basic": (
        "skresnet18",
        dict(blocks=[1, 2], outWidth=16, reduction=4, minWidth=8, stemWidth=64),
        32,
        lambda: resnet(SelectiveKernelBasic, (16, 32), (1, 2), block_args=dict(sk_kwargs=dict(rd_ratio=1 / 4, split_input=True))),
    ),
    "skresnet_bottleneck": (
        "skresnet50",
        dict(blocks=[1, 2], midWidth=8, outWidth=32, reduction=4, minWidth=8),
        32,
        lambda: resnet(SelectiveKernelBottleneck, (8, 16), (1, 2), block_args=dict(sk_kwargs=dict(rd_ratio=1 / 4, split_input=True))),
    ),
    "resnext_cifar": ("resnext29_8x64d_cifar", cifar, 16, lambda: resnet(Bottleneck, **cifar_widths)),
    "senet_cifar": ("senet29_cifar", {**cifar, "reduction": 2}, 16, lambda: resnet(Bottleneck, **cifar_widths, **se_args(2))),
    "sknet_cifar": (
        "sknet29_cifar",
        {**cifar, **reduced},
        16,
        lambda: resnet(SelectiveKernelBottleneck, **cifar_widths, **sk_args(rd_ratio=1 / 4)),
    ),
    "shufflenetv2": ("shufflenetv2_x0_5", light, 48, lambda: shufflenet("plain")),
    "se_shufflenetv2": ("se_shufflenetv2_x0_5", {**light, "reduction": 4, "minWidth": 4}, 48, lambda: shufflenet("se")),
    "sk_shufflenetv2": ("sk_shufflenetv2_x0_5", {**light, **reduced}, 48, lambda: shufflenet("sk")),
    "mobilenet_v1": ("mobilenet_v1", mobile, 32, lambda: MobileNet(8, mobile_plan, False)),
    "sk_mobilenet_v1": ("sk_mobilenet_v1", {**mobile, **reduced}, 32, lambda: MobileNet(8, mobile_plan, True)),
}


# Ours -> theirs.
FULL = {
    "skresnet18": lambda: timm.create_model("skresnet18"),
    "skresnet34": lambda: timm.create_model("skresnet34"),
    "skresnet50": lambda: timm.create_model("skresnet50"),
    "shufflenetv2_x0_5": lambda: torchvision.models.shufflenet_v2_x0_5(),
    "shufflenetv2_x1_0": lambda: torchvision.models.shufflenet_v2_x1_0(),
}


# ---- the step

class Kinks:
    """Least distance of any ReLU's argument to 0, and of any max-pool's maximum to the runner-up."""

    def __init__(self, net):
        self.least = float("inf")
        for module in net.modules():
            if isinstance(module, nn.ReLU):
                module.register_forward_pre_hook(lambda _, args: self.note(args[0].abs()))
            if isinstance(module, nn.MaxPool2d):
                module.register_forward_pre_hook(self.pooled)

    def note(self, distances):
        if distances.numel() > 0:
            self.least = min(self.least, distances.min().item())

    def pooled(self, pool, args):
        k, s, p = pool.kernel_size, pool.stride, pool.padding
        x = nn.functional.pad(args[0], (p, p, p, p), value=-1e9)
        windows = x.unfold(2, k, s).unfold(3, k, s).flatten(4)
        top = windows.topk(2, dim=4).values
        gap = top[..., 0] - top[..., 1]
        self.note(gap[gap > 0])


def state_of(net):
    return {name: t for name, t in net.state_dict().items() if not name.endswith("num_batches_tracked")}


def fill(net):
    with torch.no_grad():
        for name, t in state_of(net).items():
            t.copy_(filled(name, tuple(t.shape)))


def step(make, x):
    net = make().double().train()
    fill(net)
    kinks = Kinks(net)
    labels = torch.tensor([3 * i % CLASSES for i in range(BATCH)])
    logits = net(x)
    loss = nn.functional.cross_entropy(logits, labels)
    loss.backward()
    return net, logits.detach(), loss.item(), kinks.least


def evaluated(arch, make):
    net = make().double().eval()
    fill(net)
    shape = (2, 3, 96, 64)
    x = f"families.{arch}.full"
    with torch.no_grad():
        logits = net(images(x, shape))
    return dict(
        arch=arch,
        input=shape,
        x=x,
        params=sum(p.numel() for p in net.parameters()),
        first8=logits[:, :8].tolist(),
        norms=logits.norm(dim=1).tolist(),
        tensors={name: list(t.shape) for name, t in state_of(net).items()},
    )


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    (HERE / "families").mkdir(exist_ok=True)
    cases = []
    for name, (arch, options, side, make) in FAMILIES.items():
        shape = (BATCH, 3, side, side)
        for attempt in range(400):
            x = f"families.{name}.x{attempt}"
            net, logits, loss, margin = step(make, images(x, shape))
            if margin >= MARGIN:
                break
        else:
            raise SystemExit(f"{name}: no images keep {MARGIN} away from every kink; make the network smaller")
        tensors = {"logits": logits.float()}
        for parameter, p in net.named_parameters():
            tensors[f"grad.{parameter}"] = p.grad.float().contiguous()
        for buffer, b in net.named_buffers():
            if not buffer.endswith("num_batches_tracked"):
                tensors[f"after.{buffer}"] = b.float().contiguous()
        save_file(tensors, HERE / "families" / f"{name}.safetensors")
        params = sum(p.numel() for p in net.parameters())
        options = {"classes": CLASSES, **options}
        cases.append(dict(name=name, arch=arch, options=options, input=shape, x=x, params=params, loss=loss, margin=margin))
        print(f"{name}: {params} parameters, loss {loss:.6f}, margin {margin:.1e}, attempt {attempt}")
    full = [evaluated(arch, make) for arch, make in FULL.items()]
    versions = dict(torch=torch.__version__.split("+")[0], timm=timm.__version__, torchvision=torchvision.__version__.split("+")[0])
    lines = [json.dumps(dict(**versions))[:-1] + ', "cases": [', *listed(cases), '], "full": [', *listed(full), "]}"]
    (HERE / "families.json").write_text("\n".join(lines) + "\n")


def listed(items):
    """One JSON object a line, so that changes can be read."""
    return [json.dumps(item) + ("," if i + 1 < len(items) else "") for i, item in enumerate(items)]


if __name__ == "__main__":
    main()
