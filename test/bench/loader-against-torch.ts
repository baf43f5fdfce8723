/**
 * Our `bench --loader` and PyTorch's DataLoader on the same photographs, in turns: training crops of 224, flip, normalisation. PyTorch
 * decodes with Pillow and with torchvision.io.decode_jpeg; the last contender is libjpeg-turbo alone, decoding whole pictures from memory.
 * Ours reads the photographs, and shards that `pack` makes of them first: JPEG and raw pixels, shorter side 256; and once more as CUDA is
 * fed, where the device resizes, flips and normalises. All read --images samples in
 * one epoch: the photographs are repeated, for us by copies in a folder made for it (0.4 GB a thousand samples,
 * shards and all).
 *
 *   npm run build && npx tsx test/bench/loader-against-torch.ts --python VENV/bin/python [--data ../shared/data/photos] [--images 20000]
 *     [--turns 3] [--threads 2] [--batch 64] [--only NAME] [--out FILE]
 *
 * All use --threads threads or processes, so the ratios are those per core.
 */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { main, output, ours, peer, python, torchVersion } from './contenders.js'
import { raceArguments, runRaces } from './race.js'

const args = raceArguments({ data: '../shared/data/photos', images: '20000', batch: '64' })
const { data, images, batch } = args
const train = path.join(data, 'train')
const amount = ['--data', train, '--images', images]
const torchLoader = (decode: string) => [peer('torch_loader.py'), '--decode', decode, ...amount, '--batch', batch]
const versions = output(args.python, ['-c', 'import torchvision, PIL; print(torchvision.__version__, PIL.__version__)']).trim().split(' ')

const folder = mkdtempSync(path.join(tmpdir(), 'sknet-bench-'))
process.on('exit', () => rmSync(folder, { recursive: true }))

/** Copies of the photographs, so many of each that there are --images of them. */
function repeated(): string {
  const files = readdirSync(train, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  for (let i = 0; i < Number(images); i++) {
    const { parentPath, name } = files[i % files.length]!
    const to = path.join(folder, 'photos/train', path.relative(train, parentPath))
    mkdirSync(to, { recursive: true })
    copyFileSync(path.join(parentPath, name), path.join(to, `${Math.floor(i / files.length)}-${name}`))
  }
  return path.join(folder, 'photos')
}

function packed(mode: string): string {
  const out = path.join(folder, mode)
  output(process.execPath, [main, 'pack', '--data', photos, '--split', 'train', '--out', out, '--mode', mode])
  // What is still on its way to the disk would disturb the first turn.
  execFileSync('sync')
  return out
}

const photos = repeated()

function loader(name: string, from: string, ...more: string[]) {
  return ours(name, ['--loader', '--data', from, '--images', images, '--batch', batch, '--size', '224', ...more], args)
}

const [jpegShards, rawShards] = [packed('jpeg'), packed('raw')]

const loaders = {
  name: 'loader, 224',
  ours: loader('sknet, original JPEGs', photos),
  variants: [
    loader('sknet, JPEG shards of 256', jpegShards),
    loader('sknet, raw shards of 256', rawShards),
    loader('sknet, original JPEGs, bytes for a device', photos, '--bytes'),
    loader('sknet, JPEG shards of 256, bytes for a device', jpegShards, '--bytes'),
    loader('sknet, raw shards of 256, bytes for a device', rawShards, '--bytes'),
  ],
  peers: [
    python('PyTorch DataLoader, Pillow', torchLoader('pillow'), args, { tuned: false }),
    python('PyTorch DataLoader, decode_jpeg', torchLoader('jpeg'), args, { tuned: false }),
    python('libjpeg-turbo alone, whole pictures', [peer('turbojpeg_decode.py'), ...amount], args, { tuned: false }),
  ],
}

runRaces([loaders], args, { torch: torchVersion(args), torchvision: versions[0], Pillow: versions[1] })
