"""PyTorch's side of the benchmark: answers the requests of `harness/process.ts`.

Requests are lines of JSON on standard input, replies are lines on standard output that start with
"@reply ". Arrays come as raw little-endian files, the same that all other engines read.
Usage: python3 engine.py cpu|cuda float32|bfloat16 THREADS
"""

import json
import math
import sys
import time

import torch

from model import Step
from works import attention_work, matmul_work, mlp_work

DTYPES = {"float32": torch.float32, "int32": torch.int32}
SAMPLES = 16


def load(tensors, device):
    """Arrays by name, on the device."""
    arrays = {}
    for name, entry in tensors.items():
        with open(entry["file"], "rb") as file:
            data = bytearray(file.read())
        array = torch.frombuffer(data, dtype=DTYPES[entry["dtype"]])
        arrays[name] = array.reshape(entry["shape"]).to(device)
    return arrays


def digest(array):
    """Root mean square and evenly spread elements, as `harness/digest.ts` takes them."""
    flat = array.detach().float().reshape(-1).cpu().double()
    size = flat.numel()
    count = min(SAMPLES, size)
    samples = [number(flat[i * size // count]) for i in range(count)]
    return {"rms": number(flat.square().mean().sqrt()), "samples": samples}


def number(scalar):
    """JSON has neither NaN nor infinities."""
    value = scalar.item()
    return value if math.isfinite(value) else None


def blas_name():
    """The library that multiplies matrices here, by the files that are mapped; None where unknown."""
    torch.ones(64, 64) @ torch.ones(64, 64)
    try:
        with open("/proc/self/maps") as maps:
            files = maps.read().lower()
    except OSError:
        return None
    for name, file in (("MKL", "mkl"), ("OpenBLAS", "openblas"), ("BLIS", "libblis")):
        if file in files:
            return name
    if "libblas.so" in files:
        return "the plain reference BLAS, which is slow: install OpenBLAS for a fair comparison"
    return None


class Runner:
    """A function of nothing that gives arrays by name."""

    def __init__(self, work):
        self.work = work

    def results(self):
        return {name: digest(array) for name, array in self.work().items()}

    def run(self):
        self.work()


def prepare(job, device, dtype):
    spec = job["spec"]
    arrays = load(job["tensors"], device)
    kind = spec["kind"]
    if kind == "step":
        return Step(spec, arrays, dtype, digest)
    make = {"matmul": matmul_work, "mlp": mlp_work, "attention": attention_work}[kind]
    return Runner(make(spec, arrays, dtype))


def main():
    device, precision, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    dtype = getattr(torch, precision)
    on_gpu = device == "cuda"
    runners = {}

    def finish():
        if on_gpu:
            torch.cuda.synchronize()

    def answer(request):
        command = request["command"]
        if command == "hello":
            info = {"name": f"PyTorch {device} {precision}", "version": torch.__version__}
            if precision == "bfloat16":
                info["epsilon"] = torch.finfo(dtype).eps
            if on_gpu:
                return {**info, "note": torch.cuda.get_device_name() + ", no TF32"}
            blas = blas_name()
            note = {} if blas is None else {"note": "with " + blas}
            return {**info, **note, "threads": torch.get_num_threads()}
        key = request["runner"]
        if command == "prepare":
            runners[key] = prepare(request["job"], device, dtype)
            return runners[key].results()
        if command == "run":
            start = time.perf_counter()
            for _ in range(request["repeats"]):
                runners[key].run()
            finish()
            return (time.perf_counter() - start) * 1000 / request["repeats"]
        runners.pop(key, None)
        return None

    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = {"id": request["id"], "value": answer(request)}
        except Exception as error:  # whatever it was, the other engines go on
            message = (str(error).splitlines() or [""])[0]
            reply = {"id": request["id"], "error": f"{type(error).__name__}: {message}"}
        print("@reply " + json.dumps(reply), flush=True)


main()
