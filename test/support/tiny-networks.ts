import type { Layer } from '../../lib/model/spec.js'
import * as l from './layers.js'

/** Pool and classify [h, w, c] images directly: the smallest network with parameters, without BN. */
export function linearNetwork(classes: number): Layer[] {
  return [l.globalAvgPool('pool', 'input'), l.linear('fc', 'pool', classes)]
}

/** One of everything: stem, max-pool, an SK bottleneck with projection, a squeeze-and-excitation bottleneck with identity, classifier. */
export function mixedNetwork(classes: number): Layer[] {
  return [
    l.conv2d('conv1', 'input', 8, { kernel: 3, padding: 1 }),
    l.batchNorm('bn1', 'conv1'),
    l.relu('act1', 'bn1'),
    l.maxPool('maxpool', 'act1', 3, 2, 1),
    l.conv2d('a.conv1', 'maxpool', 12),
    l.batchNorm('a.bn1', 'a.conv1'),
    l.relu('a.act1', 'a.bn1'),
    l.skUnit('a.conv2', 'a.act1', 12, l.dilatedBranches(2, 3), 6, 2),
    l.conv2d('a.conv3', 'a.conv2', 20),
    l.batchNorm('a.bn3', 'a.conv3'),
    l.conv2d('a.downsample.0', 'maxpool', 20, { stride: 2 }),
    l.batchNorm('a.downsample.1', 'a.downsample.0'),
    l.add('a.add', 'a.bn3', 'a.downsample.1'),
    l.relu('a.act', 'a.add'),
    l.conv2d('b.conv2', 'a.act', 20, { kernel: 3, padding: 1, groups: 5 }),
    l.batchNorm('b.bn2', 'b.conv2'),
    l.globalAvgPool('b.se.pool', 'b.bn2'),
    l.linear('b.se.fc1', 'b.se.pool', 5),
    l.relu('b.se.act', 'b.se.fc1'),
    l.linear('b.se.fc2', 'b.se.act', 20),
    l.sigmoid('b.se.gate', 'b.se.fc2'),
    l.channelScale('b.se', 'b.bn2', 'b.se.gate'),
    l.add('b.add', 'b.se', 'a.act'),
    l.relu('b.act', 'b.add'),
    l.globalAvgPool('pool', 'b.act'),
    l.linear('fc', 'pool', classes),
  ]
}
