/**
 * How other libraries call the layers of the same networks. A rule pairs our name of a layer with theirs; {s} stands for a stage from 1, {u}
 * for a block from 0, {k} for a number, and {s+1} for the number after it. What follows a layer's name (`.weight`, `.running_mean`) is the same
 * everywhere. timm's names are our own.
 */

export const nameStyles = ['timm', 'torchvision', 'pytorchcv', 'caffe'] as const
export type NameStyle = (typeof nameStyles)[number]

export interface NameScheme {
  style: NameStyle
  /** null: the same names. */
  rules: readonly (readonly [own: string, foreign: string])[] | null
}

/** ResNeXt only; where torchvision and timm have the same network they have the same names. */
const torchvision: NameScheme = {
  style: 'torchvision',
  rules: ['conv1', 'bn1', 'layer{s}.{u}.conv{k}', 'layer{s}.{u}.bn{k}', 'layer{s}.{u}.downsample.{k}', 'fc'].map((name) => [name, name]),
}

/** SKNet, ResNeXt and SE-ResNeXt of osmr/pytorchcv (imgclsmob): its files sknet.py, resnext.py and seresnext.py. */
const pytorchcv: NameScheme = {
  style: 'pytorchcv',
  rules: [
    ['conv1', 'features.init_block.conv.conv'],
    ['bn1', 'features.init_block.conv.bn'],
    ['layer{s}.{u}.conv{k}', 'features.stage{s}.unit{u+1}.body.conv{k}.conv'],
    ['layer{s}.{u}.bn{k}', 'features.stage{s}.unit{u+1}.body.conv{k}.bn'],
    ['layer{s}.{u}.conv{k}.conv', 'features.stage{s}.unit{u+1}.body.conv{k}.conv'],
    ['layer{s}.{u}.conv{k}.bn', 'features.stage{s}.unit{u+1}.body.conv{k}.bn'],
    // Their branches count from 2.
    ['layer{s}.{u}.conv2.paths.{k}.conv', 'features.stage{s}.unit{u+1}.body.conv2.branches.branch{k+2}.conv'],
    ['layer{s}.{u}.conv2.paths.{k}.bn', 'features.stage{s}.unit{u+1}.body.conv2.branches.branch{k+2}.bn'],
    ['layer{s}.{u}.conv2.attn.fc_reduce', 'features.stage{s}.unit{u+1}.body.conv2.fc1.conv'],
    ['layer{s}.{u}.conv2.attn.bn', 'features.stage{s}.unit{u+1}.body.conv2.fc1.bn'],
    ['layer{s}.{u}.conv2.attn.fc_select', 'features.stage{s}.unit{u+1}.body.conv2.fc2'],
    ['layer{s}.{u}.se.fc1', 'features.stage{s}.unit{u+1}.se.conv1'],
    ['layer{s}.{u}.se.fc2', 'features.stage{s}.unit{u+1}.se.conv2'],
    ['layer{s}.{u}.downsample.0', 'features.stage{s}.unit{u+1}.identity_conv.conv'],
    ['layer{s}.{u}.downsample.1', 'features.stage{s}.unit{u+1}.identity_conv.bn'],
    ['fc', 'output'],
  ],
}

export const nameSchemes: readonly NameScheme[] = [{ style: 'timm', rules: null }, torchvision, pytorchcv]
