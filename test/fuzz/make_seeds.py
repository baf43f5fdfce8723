"""Writes the seeds of the fuzz targets, small files of every kind they read: python test/fuzz/make_seeds.py   (needs Pillow)"""
import io, os, struct, zlib
import numpy as np
from PIL import Image

here = os.path.dirname(os.path.abspath(__file__))


def write(target, name, data):
    folder = os.path.join(here, 'seeds', target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), 'wb') as file:
        file.write(data)


random = np.random.RandomState(0)
y, x = np.mgrid[0:21, 0:35]
rgb = np.clip(np.stack([127 + 90 * np.sin(x / 3 + y / a) for a in (3, 4, 5)], -1) + random.randint(-9, 10, (21, 35, 3)), 0, 255).astype(np.uint8)
picture = Image.fromarray(rgb)
jpegs = {
    '420': dict(subsampling=2), '422': dict(subsampling=1), '444': dict(subsampling=0), 'progressive': dict(progressive=True, subsampling=2),
    'restart': dict(restart_marker_blocks=1),
}
for name, options in jpegs.items():
    out = io.BytesIO()
    picture.save(out, 'JPEG', quality=80, **options)
    write('image', name + '.jpg', out.getvalue())
for name, mode in (('grey', 'L'), ('cmyk', 'CMYK')):
    out = io.BytesIO()
    picture.convert(mode).save(out, 'JPEG', quality=80)
    write('image', name + '.jpg', out.getvalue())
for name, mode in (('rgb', 'RGB'), ('rgba', 'RGBA'), ('grey', 'L'), ('grey_alpha', 'LA'), ('bits', '1'), ('palette', 'P')):
    out = io.BytesIO()
    picture.convert(mode).save(out, 'PNG')
    write('image', name + '.png', out.getvalue())
out = io.BytesIO()
Image.fromarray((rgb[:, :, 0].astype(np.uint16) * 257)).save(out, 'PNG')
write('image', 'grey16.png', out.getvalue())


def chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


# One pixel of each pass of an interlaced picture of 8 x 8: seven passes, rows with a filter byte each.
sizes = ((1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4))
rows = b''.join(bytes([f % 5]) + bytes(range(3 * w)) for f, (w, h) in enumerate(sizes) for _ in range(h))
header = struct.pack('>IIBBBBB', 8, 8, 8, 2, 0, 0, 1)
write('image', 'interlaced.png',
      b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b''))

# The first byte tells the target how many label bytes a record has.
write('cifar', 'cifar10', bytes([0]) + bytes([3]) + random.bytes(3072))
write('cifar', 'cifar100', bytes([3]) + bytes([3, 77]) + random.bytes(3072) + bytes([4, 12]) + random.bytes(3072))
write('cifar', 'cut', bytes([0]) + bytes([3]) + random.bytes(1000))
