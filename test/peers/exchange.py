"""PyTorch's side of exchange.ts.

python exchange.py make NAME FOLDER    a network of timm (or torchvision: tv_NAME) with random weights and statistics: weights.safetensors,
                                       weights.pth, and answers.safetensors with inputs x0, x1 and logits y0, y1 (float32), z0, z1 (float64)
python exchange.py check NAME FOLDER FILE   loads FILE, which sknet wrote, strictly, and tells whether logits are those of before, bit by bit
Prints one line of JSON.
"""
import json, sys
import timm, torch
from safetensors.torch import load_file, save_file

command, name, folder = sys.argv[1:4]
SIZES = [(224, 224), (192, 256)]


def create():
    if name.startswith('tv_'):
        import torchvision
        return getattr(torchvision.models, name[3:])(weights=None)
    return timm.create_model(name, pretrained=False)


torch.manual_seed(0)
model = create().eval()
versions = {'torch': torch.__version__, 'timm': timm.__version__}
if name.startswith('tv_'):
    import torchvision
    versions['torchvision'] = torchvision.__version__
with torch.no_grad():
    if command == 'make':
        # Statistics as of a trained network, so that batch norm does something.
        for key, tensor in model.state_dict().items():
            if key.endswith('running_mean'):
                tensor.uniform_(-0.1, 0.1)
            elif key.endswith('running_var'):
                tensor.uniform_(0.8, 1.4)
            elif key.endswith('num_batches_tracked'):
                tensor.fill_(7)
            elif tensor.dim() == 1:
                tensor.add_(torch.empty_like(tensor).uniform_(-0.1, 0.1))
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, f'{folder}/weights.safetensors')
        torch.save(model.state_dict(), f'{folder}/weights.pth')
        answers = {}
        for i, (height, width) in enumerate(SIZES):
            answers[f'x{i}'] = torch.randn(2, 3, height, width)
            answers[f'y{i}'] = model(answers[f'x{i}'])
        model.double()
        for i in range(len(SIZES)):
            answers[f'z{i}'] = model(answers[f'x{i}'].double())
        save_file({k: v.contiguous() for k, v in answers.items()}, f'{folder}/answers.safetensors')
        print(json.dumps({'params': sum(p.numel() for p in model.parameters()), 'sizes': SIZES, **versions}))
    else:
        weights = load_file(sys.argv[4])
        missing, unexpected = model.load_state_dict(weights, strict=False)
        missing = [key for key in missing if not key.endswith('num_batches_tracked')]
        answers = load_file(f'{folder}/answers.safetensors')
        same = all(torch.equal(model(answers[f'x{i}']), answers[f'y{i}']) for i in range(len(SIZES)))
        print(json.dumps({'missing': missing, 'unexpected': unexpected, 'sameLogits': same, **versions}))
