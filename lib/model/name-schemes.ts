/**
 * How other libraries call the layers of the same networks. A rule pairs our name of a layer with theirs; {s} stands for a stage from 1, {u}
 * for a block from 0, {k} and {m} for numbers, and {s+1} for the number after it. What follows a layer's name (`.weight`, `.running_mean`) is the same
 * everywhere. timm's names are our own.
 */

export const nameStyles = ['timm', 'torchvision', 'pytorchcv', 'caffe'] as const
export type NameStyle = (typeof nameStyles)[number]

export interface NameScheme {
  style: NameStyle
  /** null: the same names. */
  rules: readonly (readonly [own: string, foreign: string])[] | null
}

/** ResNeXt and ShuffleNetV2: where torchvision has a network, its names are ours. */
const torchvision: NameScheme = {
  style: 'torchvision',
  rules: [
    ...['conv1', 'bn1', 'layer{s}.{u}.conv{k}', 'layer{s}.{u}.bn{k}', 'layer{s}.{u}.downsample.{k}'],
    ...['conv{k}.{u}', 'stage{s}.{u}.branch{k}.{m}'],
    'fc',
  ].map((name) => [name, name]),
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

const caffeStem = [
  ['conv1', 'conv1/7x7_s2'],
  ['bn1', 'conv1/7x7_s2/bn'],
  ['fc', 'classifier'],
] as const

/** implus/SKNet: models/sknet50.prototxt and sknet101.prototxt; a third branch called the same way. */
const caffeSknet: NameScheme = {
  style: 'caffe',
  rules: [
    ...caffeStem,
    ['layer{s}.{u}.conv1.conv', 'conv{s+1}_{u+1}/1x1_reduce'],
    ['layer{s}.{u}.conv1.bn', 'conv{s+1}_{u+1}/1x1_reduce/bn'],
    ['layer{s}.{u}.conv2.paths.0.conv', 'conv{s+1}_{u+1}/3x3g32'],
    ['layer{s}.{u}.conv2.paths.0.bn', 'conv{s+1}_{u+1}/3x3g32/bn'],
    ['layer{s}.{u}.conv2.paths.{k}.conv', 'conv{s+1}_{u+1}/3x3g32d{k+1}'],
    ['layer{s}.{u}.conv2.paths.{k}.bn', 'conv{s+1}_{u+1}/3x3g32d{k+1}/bn'],
    ['layer{s}.{u}.conv2.attn.fc_reduce', 'conv{s+1}_{u+1}/B_fc1'],
    ['layer{s}.{u}.conv2.attn.bn', 'conv{s+1}_{u+1}/B_fc1/bn'],
    ['layer{s}.{u}.conv2.attn.fc_select', 'conv{s+1}_{u+1}/B_fc2'],
    ['layer{s}.{u}.conv3.conv', 'conv{s+1}_{u+1}/1x1_increase'],
    ['layer{s}.{u}.conv3.bn', 'conv{s+1}_{u+1}/1x1_increase/bn'],
    ['layer{s}.{u}.downsample.0', 'conv{s+1}_{u+1}/1x1_proj'],
    ['layer{s}.{u}.downsample.1', 'conv{s+1}_{u+1}/1x1_proj/bn'],
  ],
}

/** hujie-frank/SENet: models/SE-ResNeXt-50.prototxt and SE-ResNeXt-101.prototxt. */
const caffeSenet: NameScheme = {
  style: 'caffe',
  rules: [
    ...caffeStem,
    ['layer{s}.{u}.conv1', 'conv{s+1}_{u+1}_1x1_reduce'],
    ['layer{s}.{u}.bn1', 'conv{s+1}_{u+1}_1x1_reduce/bn'],
    ['layer{s}.{u}.conv2', 'conv{s+1}_{u+1}_3x3'],
    ['layer{s}.{u}.bn2', 'conv{s+1}_{u+1}_3x3/bn'],
    ['layer{s}.{u}.conv3', 'conv{s+1}_{u+1}_1x1_increase'],
    ['layer{s}.{u}.bn3', 'conv{s+1}_{u+1}_1x1_increase/bn'],
    ['layer{s}.{u}.se.fc1', 'conv{s+1}_{u+1}_1x1_down'],
    ['layer{s}.{u}.se.fc2', 'conv{s+1}_{u+1}_1x1_up'],
    ['layer{s}.{u}.downsample.0', 'conv{s+1}_{u+1}_1x1_proj'],
    ['layer{s}.{u}.downsample.1', 'conv{s+1}_{u+1}_1x1_proj/bn'],
  ],
}

export const nameSchemes: readonly NameScheme[] = [{ style: 'timm', rules: null }, torchvision, pytorchcv, caffeSknet, caffeSenet]
