"""One op or unit in PyTorch, timed: training forward and backward from a given gradient down to the input's, or forward. One JSON line.

  python torch_op.py --op sk_unit --channels 128 --size 56 --groups 32 --batch 16 [--compile] [--layout nhwc] [--dtype bf16] --threads 2

Shapes are NCHW [batch, channels, size, size]; seconds are of one run, the median of --steps after --warmup.
"""
import argparse, json, resource, statistics, time
import torch, torch.nn as nn

p = argparse.ArgumentParser()
p.add_argument('--op', required=True, choices=['sk_unit', 'conv2d'])
p.add_argument('--mode', default='train', choices=['train', 'infer'])
p.add_argument('--batch', type=int, default=16)
p.add_argument('--size', type=int, default=56)
p.add_argument('--channels', type=int, default=128)
p.add_argument('--out', type=int, default=0, help='default: as --channels')
p.add_argument('--kernel', type=int, default=3)
p.add_argument('--stride', type=int, default=1)
p.add_argument('--dilation', type=int, default=1)
p.add_argument('--groups', type=int, default=32)
p.add_argument('--branches', type=int, default=2)
p.add_argument('--reduction', type=int, default=16)
p.add_argument('--dtype', default='fp32', choices=['fp32', 'bf16'])
p.add_argument('--layout', default='nhwc', choices=['nchw', 'nhwc'])
p.add_argument('--compile', action='store_true')
p.add_argument('--threads', type=int, default=0)
p.add_argument('--steps', type=int, default=10)
p.add_argument('--warmup', type=int, default=3)
a = p.parse_args()
out = a.out or a.channels


def conv(kernel, dilation):
    return nn.Conv2d(a.channels, out, kernel, a.stride, dilation * (kernel // 2), dilation, a.groups, bias=False)


class SelectiveKernel(nn.Module):
    """M branches of 3x3 with dilation 1..M, and their attention. Sums the branches one by one: stacking them costs a copy of each."""

    def __init__(self):
        super().__init__()
        d = max(out // a.reduction, 32)
        self.paths = nn.ModuleList(nn.Sequential(conv(3, m + 1), nn.BatchNorm2d(out), nn.ReLU(inplace=True)) for m in range(a.branches))
        self.fc_reduce = nn.Conv2d(out, d, 1, bias=False)
        self.bn = nn.BatchNorm2d(d)
        self.fc_select = nn.Conv2d(d, a.branches * out, 1, bias=False)

    def forward(self, x):
        u = [path(x) for path in self.paths]
        s = sum(u[1:], u[0]).mean((2, 3), keepdim=True)
        z = self.fc_select(torch.relu(self.bn(self.fc_reduce(s))))
        w = z.view(-1, a.branches, out, 1, 1).softmax(1)
        v = u[0] * w[:, 0]
        for m in range(1, a.branches):
            v = v + u[m] * w[:, m]
        return v


if a.threads:
    torch.set_num_threads(a.threads)
torch.manual_seed(0)
model = SelectiveKernel() if a.op == 'sk_unit' else conv(a.kernel, a.dilation)
x = torch.randn(a.batch, a.channels, a.size, a.size)
if a.layout == 'nhwc':
    model = model.to(memory_format=torch.channels_last)
    x = x.contiguous(memory_format=torch.channels_last)
model.train(a.mode == 'train')
run = torch.compile(model) if a.compile else model


def cast():
    return torch.autocast('cpu', dtype=torch.bfloat16, enabled=a.dtype == 'bf16')


with torch.no_grad(), cast():
    gy = torch.randn_like(model(x))
x.requires_grad_(a.mode == 'train')


def step():
    if a.mode == 'infer':
        with torch.inference_mode(), cast():
            return run(x)
    x.grad = None
    model.zero_grad(set_to_none=True)
    with cast():
        y = run(x)
    y.backward(gy)


def backend():
    """Which library runs the convolution: Mkldnn is oneDNN."""
    m = model if a.op == 'conv2d' else model.paths[0][0]
    kind = torch.bfloat16 if a.dtype == 'bf16' else torch.float32
    w, v = m.weight.to(kind), x.detach().to(kind)
    return str(torch._C._select_conv_backend(v, w, None, m.stride, m.padding, m.dilation, False, (0, 0), m.groups)).split('.')[-1]


for _ in range(a.warmup):
    step()
seconds = []
for _ in range(a.steps):
    began = time.perf_counter()
    step()
    seconds.append(time.perf_counter() - began)
median = statistics.median(seconds)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps(dict(vars(a), torch=torch.__version__, convolutions=backend(), seconds_median=median, seconds_min=min(seconds),
                      images_per_s=a.batch / median, peak_rss_mib=peak)))
