"""PyTorch's DataLoader over a folder of images, timed: decode, random crop to --size, flip, normalise. One JSON line.

  python torch_loader.py --data DIR/train --decode pillow --images 20000 --batch 64 --threads 2

--decode pillow: PIL and torchvision's transforms on PIL images, as its ImageFolder does. --decode jpeg: torchvision.io.decode_jpeg and the
transforms on tensors. The folder's files are repeated to --images samples of one epoch; --threads worker processes, each on one core.
"""
import argparse, glob, json, os, resource, statistics, time
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as T
from torchvision.io import ImageReadMode, decode_jpeg, read_file

p = argparse.ArgumentParser()
p.add_argument('--data', required=True)
p.add_argument('--decode', default='pillow', choices=['pillow', 'jpeg'])
p.add_argument('--images', type=int, default=20000)
p.add_argument('--batch', type=int, default=64)
p.add_argument('--size', type=int, default=224)
p.add_argument('--threads', type=int, default=2)
p.add_argument('--dtype', default='fp32', choices=['fp32'])
a = p.parse_args()
torch.set_num_threads(1)

mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
if a.decode == 'pillow':
    transform = T.Compose([T.RandomResizedCrop(a.size), T.RandomHorizontalFlip(), T.ToTensor(), T.Normalize(mean, std)])
else:
    transform = T.Compose([T.RandomResizedCrop(a.size, antialias=True), T.RandomHorizontalFlip(),
                           T.ConvertImageDtype(torch.float32), T.Normalize(mean, std)])


class Files(Dataset):
    def __init__(self, files, count):
        self.files, self.count = files, count

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        path = self.files[i % len(self.files)]
        if a.decode == 'pillow':
            with open(path, 'rb') as file:
                image = Image.open(file).convert('RGB')
        else:
            image = decode_jpeg(read_file(path), mode=ImageReadMode.RGB)
        return transform(image), 0


files = sorted(glob.glob(os.path.join(a.data, '*', '*.jpg')))
loader = DataLoader(Files(files, a.images), batch_size=a.batch, shuffle=True, num_workers=a.threads, prefetch_factor=2)
begin = last = time.perf_counter()
steps = []
for images, labels in loader:
    now = time.perf_counter()
    steps.append(now - last)
    last = now
peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + a.threads * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024
print(json.dumps({'images_per_s': a.images / (last - begin), 'seconds_median': statistics.median(steps), 'peak_rss_mib': peak}))
