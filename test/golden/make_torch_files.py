"""Small files that PyTorch saved, and what is in them: python test/golden/make_torch_files.py"""
import collections, json, os, pathlib
import torch

out = pathlib.Path(__file__).parent / 'torch'
out.mkdir(exist_ok=True)
torch.manual_seed(0)


class Touch:
    """What a hostile file would hold: loading it runs a command."""
    def __reduce__(self):
        return (os.system, ('touch PICKLE_WAS_RUN',))


base = torch.arange(24.0)
tensors = collections.OrderedDict(
    matrix=torch.randn(2, 3),
    transposed=torch.arange(6.0).reshape(2, 3).t(),
    channels_last=torch.arange(24.0).reshape(1, 2, 3, 4).contiguous(memory_format=torch.channels_last),
    slice=base[5:9],
    every_third=base[1::3],
    scalar=torch.tensor(3),
    empty=torch.zeros(0, 4),
    parameter=torch.nn.Parameter(torch.tensor([0.5, -2.0])),
    half=torch.tensor([1.5, -0.25]).half(),
    bfloat=torch.tensor([1.5, -3.0]).bfloat16(),
    double=torch.tensor([0.1], dtype=torch.float64),
    flags=torch.tensor([True, False]),
)
tensors._metadata = {'': {'version': 1}}
model = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
model(torch.randn(2, 2, 5, 5)).sum().backward()
optimizer.step()
wrapped = {
    'epoch': 3,
    'best': 0.75,
    'large': 1 << 40,
    'notes': ['a', None, True, (1, -2, 300, 70000)],
    'size': torch.Size([1, 2]),
    'device': torch.device('cpu'),
    'dtype': torch.float32,
    'model_state_dict': collections.OrderedDict((f'module.{k}', v) for k, v in model.state_dict().items()),
    'optimizer': optimizer.state_dict(),
}
torch.save(tensors, out / 'plain.pth')
torch.save(tensors, out / 'protocol4.pth', pickle_protocol=4)
torch.save(wrapped, out / 'wrapped.pth')
torch.save({'weight': torch.ones(2), 'payload': Touch()}, out / 'hostile.pth')
torch.save({'weight': torch.ones(2)}, out / 'legacy.pth', _use_new_zipfile_serialization=False)
torch.save(model, out / 'whole_model.pth')
torch.jit.save(torch.jit.script(torch.nn.ReLU()), out / 'script.pth')
expected = {
    'torch': torch.__version__,
    'plain': {k: {'shape': list(v.shape), 'values': v.detach().double().flatten().tolist()} for k, v in tensors.items()},
    'wrapped': {k: {'shape': list(v.shape), 'values': v.double().flatten().tolist()} for k, v in wrapped['model_state_dict'].items()},
}
(out / 'expected.json').write_text(json.dumps(expected, indent=1) + '\n')
