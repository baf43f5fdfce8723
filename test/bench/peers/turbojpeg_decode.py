"""libjpeg-turbo alone: files in memory to RGB pixels at full size, as fast as --threads processes go. One JSON line.

  python turbojpeg_decode.py --data DIR/train --images 20000 --threads 2       (needs libturbojpeg.so.0)
"""
import argparse, ctypes, glob, json, multiprocessing, os, resource, time

p = argparse.ArgumentParser()
p.add_argument('--data', required=True)
p.add_argument('--images', type=int, default=20000)
p.add_argument('--threads', type=int, default=2)
p.add_argument('--dtype', default='fp32')
a = p.parse_args()
TJPF_RGB = 0


def decode(count):
    tj = ctypes.CDLL('libturbojpeg.so.0')
    tj.tjInitDecompress.restype = ctypes.c_void_p
    handle = ctypes.c_void_p(tj.tjInitDecompress())
    files = [open(path, 'rb').read() for path in sorted(glob.glob(os.path.join(a.data, '*', '*.jpg')))]
    width, height, subsampling, space = (ctypes.c_int() for _ in range(4))
    out = ctypes.create_string_buffer(64 << 20)
    begin = time.perf_counter()
    for i in range(count):
        data = files[i % len(files)]
        tj.tjDecompressHeader3(handle, data, ctypes.c_ulong(len(data)), ctypes.byref(width), ctypes.byref(height),
                               ctypes.byref(subsampling), ctypes.byref(space))
        if tj.tjDecompress2(handle, data, ctypes.c_ulong(len(data)), out, width, 0, height, TJPF_RGB, 0) != 0:
            raise SystemExit(f'file {i % len(files)} does not decode')
    return time.perf_counter() - begin


if __name__ == '__main__':
    each = a.images // a.threads
    with multiprocessing.Pool(a.threads) as pool:
        seconds = max(pool.map(decode, [each] * a.threads))
    peak = a.threads * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(json.dumps({'images_per_s': each * a.threads / seconds, 'seconds_median': seconds / each, 'peak_rss_mib': peak}))
