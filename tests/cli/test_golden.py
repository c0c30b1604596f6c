"""Every golden model through the program: `llmgen logits` and greedy answers, from each file form that is there."""
import array
import json
import math
import pathlib
import struct
import tempfile
import unittest

import llmgen

GOLDEN = llmgen.DATA / "golden"
BOUND = 5e-4  # of the standard deviation of the reference
EXACT = ("--exact", "--kv-type", "f32")


def read_tensors(path):
    """name -> flat list of numbers."""
    data = pathlib.Path(path).read_bytes()
    length, = struct.unpack("<Q", data[:8])
    tensors = {}
    for name, entry in json.loads(data[8:8 + length]).items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        tensors[name] = array.array({"F32": "f", "I32": "i"}[entry["dtype"]], data[begin:end]).tolist()
    return tensors


def joined(ids):
    return ",".join(map(str, ids))


class Golden(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.output = pathlib.Path(folder.name) / "out.safetensors"

    def assert_close(self, found, expected, what):
        self.assertEqual(len(found), len(expected), what)
        mean = sum(expected) / len(expected)
        deviation = math.sqrt(sum((x - mean) ** 2 for x in expected) / len(expected))
        worst = max(abs(a - b) for a, b in zip(found, expected))
        self.assertLessEqual(worst, BOUND * deviation, what)

    def each_form(self):
        for entry in json.loads((GOLDEN / "index.json").read_text()):
            folder = GOLDEN / entry["name"]
            expected = read_tensors(folder / "expected.safetensors")
            for form in (folder, folder / "model.gguf"):
                if form.exists():
                    yield entry, form, expected

    def test_logits_and_hidden_states_are_those_of_the_reference(self):
        for entry, form, expected in self.each_form():
            target = ("--decoder-ids", joined(expected["decoder_input_ids"])) if entry["kind"] == "encdec" else ()
            for chunk in ("64", "5"):
                with self.subTest(model=str(form.relative_to(GOLDEN)), chunk=chunk):
                    done = llmgen.run("logits", "-m", form, "--ids", joined(expected["input_ids"]), *target, *EXACT,
                                      "--hidden", "--chunk", chunk, "-o", self.output)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    found = read_tensors(self.output)
                    for name, values in expected.items():
                        if "hidden" in name or name == "logits":
                            self.assert_close(found[name], values, name)
                        elif name.endswith("_ids"):
                            self.assertEqual(found[name], values)

    def test_greedy_answers_are_those_of_the_reference(self):
        for entry, form, expected in self.each_form():
            if "greedy" not in expected or entry["kind"] == "encdec":
                continue
            with self.subTest(model=str(form.relative_to(GOLDEN))):
                answer = llmgen.run_json("-m", form, "--prompt-ids", joined(expected["input_ids"]), "--temp", "0", *EXACT,
                                         "--ignore-eos", "-n", len(expected["greedy"]), "-c", "64", "--json", "-q")
                self.assertEqual(answer["ids"], expected["greedy"])


if __name__ == "__main__":
    llmgen.main()
