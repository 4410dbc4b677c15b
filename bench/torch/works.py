"""Matrix products, the MLP and attention in PyTorch; `harness/job.ts` says what each work is."""

import math

import torch
import torch.nn.functional as F


def matmul_work(spec, arrays, dtype):
    a = arrays["a"].to(dtype)
    b = arrays["b"].to(dtype)
    left = a.t() if spec["transposeA"] else a
    right = b.t() if spec["transposeB"] else b
    return lambda: {"product": left @ right}


def loss_and_gradients(params, loss):
    """A loss and its gradients by the names of the parameters."""
    value = loss(params)
    gradients = torch.autograd.grad(value, list(params.values()))
    return {"loss": value.detach(), **dict(zip(params, gradients))}


def parameters(arrays, dtype):
    return {name: array.to(dtype).requires_grad_() for name, array in arrays.items()}


def mlp_work(spec, arrays, dtype):
    arrays = dict(arrays)
    target = arrays.pop("target").to(dtype)
    params = parameters(arrays, dtype)

    def loss(p):
        hidden = F.relu(F.linear(p["x"], p["w1"], p["b1"]))
        return F.mse_loss(F.linear(hidden, p["w2"], p["b2"]), target)

    return lambda: loss_and_gradients(params, loss)


def attend(q, k, v, causal):
    """softmax(q·kᵀ/√d)·v on [batch, tokens, heads, d]; PyTorch's own fused one where it has it."""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    if hasattr(F, "scaled_dot_product_attention"):
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    else:
        scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(-1, -2)
        if causal:
            tokens = q.shape[-2]
            hidden = torch.ones(tokens, tokens, dtype=torch.bool, device=q.device).triu(1)
            scores = scores.masked_fill(hidden, -math.inf)
        mixed = torch.softmax(scores, -1) @ v
    return mixed.transpose(1, 2)


def attention_work(spec, arrays, dtype):
    arrays = dict(arrays)
    g = arrays.pop("g").to(dtype)
    params = parameters(arrays, dtype)

    def loss(p):
        return (attend(p["q"], p["k"], p["v"], spec["causal"]) * g).sum()

    return lambda: loss_and_gradients(params, loss)
