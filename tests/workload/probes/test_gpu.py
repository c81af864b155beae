# test_gpu.py - User provides this in their container
import torch
print(f"CUDA: {torch.cuda.is_available()}")
print(f"GPU: {torch.cuda.get_device_name(0)}")

x = torch.rand(1000, 1000).cuda()
print(f"✅ GPU working: {x.device}")
