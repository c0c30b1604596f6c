"""Damaged GGUF files through the program: a sentence and exit code 5, or a run, as the list of cases says."""
import json
import pathlib
import resource
import unittest

import llmgen
from llmgen import DATA, run

FOLDER = DATA / "gguf"
LIMIT = 2 << 30  # bytes of address space that a file of a few kB may cost


def limit_memory():
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))


class DamagedFiles(unittest.TestCase):
    def test_every_case_ends_as_listed(self):
        cases = json.loads((FOLDER / "index.json").read_text())
        self.assertGreater(len(cases), 30)
        for case in cases:
            with self.subTest(case["file"]):
                done = run("-m", FOLDER / case["file"], "--ids", "1,4,9", "-n", "2", "--ignore-eos", "--json", timeout=20,
                           preexec_fn=None if llmgen.SANITIZERS else limit_memory)
                message = done.stderr.decode(errors="replace")
                self.assertIn(done.returncode, (0, 4, 5), message)
                if case["expected"] == "error":
                    self.assertNotEqual(done.returncode, 0, case["why"])
                    lines = [line for line in message.splitlines() if line.startswith("llmgen: error: ")]
                    self.assertEqual(len(lines), 1, message)
                    self.assertIn(pathlib.Path(case["file"]).stem.split("-0000")[0], lines[0])
                elif case["expected"] == "loads":
                    self.assertEqual(done.returncode, 0, message)

    def test_files_that_must_give_the_reference_logits_do(self):
        expected = json.loads((FOLDER / "valid.expected.json").read_text())
        ids = ",".join(map(str, expected["input_ids"]))
        first = None
        for name in [n for n in expected.get("files", ["valid.gguf"])]:
            with self.subTest(name):
                answer = llmgen.run_json("-m", FOLDER / name, "--ids", ids, "-n", "1", "--temp", "0", "--ignore-eos", "--json", "--exact",
                                         "--kv-type", "f32", "--logprobs", "16")
                best = max(range(16), key=lambda i: expected["logits"][-1][i])
                self.assertEqual(answer["ids"], [best])
                first = first or answer["logprobs"]
                self.assertEqual(answer["logprobs"], first)


if __name__ == "__main__":
    llmgen.main()
