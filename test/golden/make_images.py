#!/usr/bin/env python3
"""Writes images.json: what Pillow and torchvision make of pictures, for test/data/effects.test.ts, crops.test.ts and pillow.test.ts.
usage: make_images.py PHOTOS > images.json      (needs torch, torchvision, Pillow; PHOTOS is a folder train/<class>/*.jpg)
"""
import base64, glob, hashlib, io, json, math, os, sys
import numpy as np
import PIL
from PIL import Image
import torch, torchvision
from torchvision import transforms as T
from torchvision.transforms import functional as F

width, height = 24, 18
random = np.random.RandomState(1)
# Smooth colours with some noise, so that every effect shows.
y, x = np.mgrid[0:height, 0:width]
waves = [127 + 110 * np.sin(x / a + y / b + c) + random.randint(-12, 13, (height, width)) for a, b, c in ((5, 9, 0), (11, 4, 1), (7, 6, 2))]
pixels = np.clip(np.stack(waves, -1), 0, 255).astype(np.uint8)
picture = Image.fromarray(pixels)

def encode(image):
    return base64.b64encode(np.asarray(image.convert('RGB')).tobytes()).decode()

fill = [10, 200, 90]
bilinear, nearest = Image.BILINEAR, Image.NEAREST
rand_geometry = dict(interpolation=T.InterpolationMode.NEAREST, fill=[0, 0, 0])
effects = []
def add(effect, result):
    effects.append({'effect': effect, 'result': encode(result)})

def moving(kind, value, method):
    return {'kind': kind, 'range': [value, value], 'interpolation': method, 'fill': fill}

for degrees in (7.5, -10, 30, 0.001):
    for method, name in ((bilinear, 'bilinear'), (nearest, 'nearest')):
        add(moving('rotate', degrees, name), picture.rotate(degrees, method, fillcolor=tuple(fill)))
for shear in (0.3, -0.11):
    for method, name in ((T.InterpolationMode.BILINEAR, 'bilinear'), (T.InterpolationMode.NEAREST, 'nearest')):
        degrees = math.degrees(math.atan(shear))
        add(moving('shear_x', shear, name), F.affine(picture, 0.0, [0, 0], 1.0, [degrees, 0.0], method, fill, [0, 0]))
        add(moving('shear_y', shear, name), F.affine(picture, 0.0, [0, 0], 1.0, [0.0, degrees], method, fill, [0, 0]))
for share in (0.25, -0.4):
    add(moving('translate_x', share, 'nearest'), F.affine(picture, 0.0, [int(share * width), 0], 1.0, [0.0, 0.0], T.InterpolationMode.NEAREST, fill))
    add(moving('translate_y', share, 'nearest'), F.affine(picture, 0.0, [0, int(share * height)], 1.0, [0.0, 0.0], T.InterpolationMode.NEAREST, fill))
for kind, function, values in (
    ('brightness', F.adjust_brightness, (0.0, 0.37, 1.0, 1.9)),
    ('contrast', F.adjust_contrast, (0.0, 0.37, 1.9)),
    ('saturation', F.adjust_saturation, (0.0, 0.37, 1.9)),
    ('sharpness', F.adjust_sharpness, (0.1, 0.37, 1.9)),
    ('hue', F.adjust_hue, (-0.5, -0.1, 0.25)),
    ('posterize', F.posterize, (1, 4, 8)),
    ('solarize', F.solarize, (0, 100, 255)),
):
    for value in values:
        add({'kind': kind, 'range': [value, value]}, function(picture, value))
add({'kind': 'autocontrast'}, F.autocontrast(picture))
add({'kind': 'equalize'}, F.equalize(picture))

# RandomResizedCrop.get_params on a photograph's size: quantiles of what it draws.
torch.manual_seed(0)
draws = 50_000
image = torch.zeros(3, 375, 500)
crops = np.array([T.RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(draws)], dtype=np.float64)
top, left, h, w = crops.T
facts = {'area': h * w / (375 * 500), 'aspect': w / h, 'x': (left + w / 2) / 500, 'y': (top + h / 2) / 375}
at = (np.arange(500) + 0.5) / 500
quantiles = {name: [round(float(v), 5) for v in np.quantile(values, at)] for name, values in facts.items()}

# Resize and CenterCrop of the first 50 photos.
photos = {}
for path in sorted(glob.glob(os.path.join(sys.argv[1], 'train', '*', '*.jpg')))[::6][:50]:
    image = Image.open(path).convert('RGB')
    hashes = {'decoded': hashlib.sha256(image.tobytes()).hexdigest()}
    for name, method in (('bilinear', T.InterpolationMode.BILINEAR), ('bicubic', T.InterpolationMode.BICUBIC)):
        result = T.CenterCrop(224)(T.Resize(256, method)(image))
        hashes[name] = hashlib.sha256(result.tobytes()).hexdigest()
    photos[os.path.relpath(path, sys.argv[1])] = hashes

json.dump({
    'made': f'torch {torch.__version__}, torchvision {torchvision.__version__}, Pillow {PIL.__version__}',
    'picture': {'width': width, 'height': height, 'pixels': encode(picture)},
    'effects': effects,
    'crops': {'width': 500, 'height': 375, 'draws': draws, 'quantiles': quantiles},
    'photos': photos,
}, sys.stdout)
print()
