"""A timm network with random weights as an ONNX file with a fixed batch, for evaluation: python export_onnx.py --model NAME --batch 1 --out FILE"""
import argparse, json
import timm, torch

p = argparse.ArgumentParser()
p.add_argument('--model', default='skresnext50_32x4d')
p.add_argument('--batch', type=int, default=1)
p.add_argument('--size', type=int, default=224)
p.add_argument('--out', required=True)
a = p.parse_args()
torch.manual_seed(0)
model = timm.create_model(a.model, pretrained=False).eval()
x = torch.randn(a.batch, 3, a.size, a.size)
torch.onnx.export(model, (x,), a.out, input_names=['x'], output_names=['y'], dynamo=True, external_data=False, verbose=False)
print(json.dumps(dict(vars(a), torch=torch.__version__, timm=timm.__version__)))
