"""`llmgen logits`: the same bits whatever the number of threads and the prompt tokens evaluated at once."""
import pathlib
import tempfile
import unittest

import llmgen

TEXT = "The lighthouse stood at the edge of the cliff. Every evening, when the sun went down, its keeper climbed 214 steps."
MODELS = (llmgen.SMOLLM2, llmgen.DATA / "golden/gpt2", llmgen.DATA / "golden/falcon_h1", llmgen.DATA / "golden/deepseek_v2-lite",
          llmgen.DATA / "golden/rwkv")


class Logits(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.output = pathlib.Path(folder.name) / "out.safetensors"

    def logits(self, *args):
        done = llmgen.run("logits", *args, "-o", self.output)
        self.assertEqual(done.returncode, 0, done.stderr)
        return self.output.read_bytes()

    def test_threads_and_chunks_do_not_change_a_bit(self):
        for model in MODELS:
            prompt = ("-p", TEXT) if model == llmgen.SMOLLM2 else ("--ids", ",".join(str(7 * i % 61 + 1) for i in range(40)))
            for mode in ((), ("--exact", "--kv-type", "f32"), ("--kv-type", "q8_0")):
                if mode == ("--kv-type", "q8_0") and model != llmgen.SMOLLM2:
                    continue  # small heads: whole blocks of 32 numbers are not given
                first = self.logits("-m", model, *prompt, *mode, "-t", "1")
                for threads, chunk in (("2", "0"), ("1", "1"), ("2", "7"), ("3", "32")):
                    with self.subTest(model=model.name, mode=mode, threads=threads, chunk=chunk):
                        self.assertEqual(first, self.logits("-m", model, *prompt, *mode, "-t", threads, "--chunk", chunk))

    def test_the_file_has_a_row_of_logits_for_each_token(self):
        data = self.logits("-m", llmgen.VALID, "--ids", "1,4,9")
        header = data[8:8 + int.from_bytes(data[:8], "little")].decode()
        self.assertIn('"logits"', header)
        self.assertIn('"shape":[3,16]', header.replace(" ", ""))
        self.assertIn('"input_ids"', header)


if __name__ == "__main__":
    llmgen.main()
