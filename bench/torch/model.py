"""A LoRA or Flat-LoRA training step of the two transformers in eager PyTorch."""

import math

import torch
import torch.nn.functional as F

from works import attend

QUIET_STEPS = 3


def with_prefix(prefix, arrays):
    return {name[len(prefix) :]: x for name, x in arrays.items() if name.startswith(prefix)}


class Step:
    """Holds what is trained; `run` takes one step.

    In bfloat16 the frozen weights and activations are bfloat16 and the factors float32, as in mixed
    precision training (`autocast`).
    """

    def __init__(self, spec, arrays, dtype, digest):
        self.spec = spec
        self.digest = digest
        self.dtype = dtype
        self.frozen = {name: x.to(dtype) for name, x in with_prefix("w/", arrays).items()}
        self.data = {name: x for name, x in arrays.items() if "/" not in name}
        targets = self.data["labels" if spec["family"] == "vit" else "targets"]
        self.targets = targets.reshape(-1).long()
        self.factors = {
            name: x.clone().requires_grad_() for name, x in with_prefix("a/", arrays).items()
        }
        self.layers = [name[:-2] for name in self.factors if name.endswith(".a")]
        self.optimiser = torch.optim.AdamW(
            self.factors.values(), lr=spec["learningRate"], weight_decay=spec["weightDecay"]
        )
        self.step = 0
        self.noisy = {}

    def results(self):
        steps = [self.next() for _ in range(QUIET_STEPS + 1)]
        losses = torch.tensor([loss for loss, _ in steps])
        norms = torch.tensor([norm for _, norm in steps])
        return {
            "losses": self.digest(losses[:QUIET_STEPS]),
            "gradientNorms": self.digest(norms[:QUIET_STEPS]),
            "noisyLoss": self.digest(losses[QUIET_STEPS:]),
        }

    def run(self):
        self.next()

    def next(self):
        sigma = self.spec["sigma"]
        if sigma > 0:
            self.noisy = self.perturbed(0 if self.step < QUIET_STEPS else sigma)
        mixed = self.dtype != torch.float32
        device = self.targets.device.type
        with torch.autocast(device, dtype=torch.bfloat16, enabled=mixed):
            loss = F.cross_entropy(self.logits().float(), self.targets)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.stack([x.grad.square().sum() for x in self.factors.values()]).sum().sqrt()
        self.optimiser.step()
        self.step += 1
        return loss.item(), norm.item()

    @torch.no_grad()
    def perturbed(self, sigma):
        """W + ε of Eq. 7 for every layer, norms taken of W + s·B·A."""
        scale = self.spec["alpha"] / self.spec["rank"]
        noisy = {}
        for path in self.layers:
            weight = self.frozen[path]
            merged = weight + scale * (self.factors[path + ".b"] @ self.factors[path + ".a"])
            deviations = merged.norm(dim=1, keepdim=True) * (sigma / math.sqrt(weight.shape[1]))
            noisy[path] = weight + torch.randn_like(weight) * deviations.to(weight.dtype)
        return noisy

    def linear(self, name, x):
        path = name + ".weight"
        weight = self.noisy.get(path, self.frozen[path])
        y = F.linear(x, weight, self.frozen.get(name + ".bias"))
        if path + ".a" not in self.factors:
            return y
        update = F.linear(F.linear(x, self.factors[path + ".a"]), self.factors[path + ".b"])
        return y + (self.spec["alpha"] / self.spec["rank"]) * update

    def norm(self, name, x):
        scale, bias = self.frozen[name + ".scale"], self.frozen[name + ".bias"]
        return F.layer_norm(x.to(scale.dtype), x.shape[-1:], scale, bias, 1e-5)

    def block(self, i, x):
        size = self.spec["size"]
        heads = (size["batch"], size["tokens"], size["heads"], size["width"] // size["heads"])
        at = f"blocks.{i}."
        normed = self.norm(at + "attentionNorm", x)
        q, k, v = (
            self.linear(at + "attention." + name, normed).reshape(heads)
            for name in ("query", "key", "value")
        )
        mixed = attend(q, k, v, self.spec["family"] == "decoder").reshape(x.shape)
        x = x + self.linear(at + "attention.out", mixed)
        hidden = self.linear(at + "mlp.fc1", self.norm(at + "mlpNorm", x))
        return x + self.linear(at + "mlp.fc2", F.gelu(hidden, approximate="tanh"))

    def embedded(self):
        """[batch, tokens, width]"""
        if self.spec["family"] == "decoder":
            return F.embedding(self.data["tokens"].long(), self.frozen["tokenEmbedding.weight"])
        patch, channels = self.spec["patch"], self.spec["channels"]
        batch, tokens = self.spec["size"]["batch"], self.spec["size"]["tokens"]
        side = math.isqrt(tokens)
        tiles = self.data["images"].reshape(batch, side, patch, side, patch, channels)
        patches = tiles.permute(0, 1, 3, 5, 2, 4).reshape(batch, tokens, -1)
        return self.linear("patchEmbedding", patches)

    def logits(self):
        x = self.embedded() + self.frozen["positionEmbedding.weight"]
        for i in range(self.spec["size"]["depth"]):
            x = self.block(i, x)
        x = self.norm("norm", x)
        if self.spec["family"] == "vit":
            return self.linear("head", x.mean(1))
        return self.linear("head", x.reshape(-1, x.shape[-1]))
