"""llmgen tokenize and detokenize: every form of input and output."""
import json
import unittest

import llmgen
from llmgen import SMOLLM2, json_lines, run, run_json

TEXT = "Hello wörld, 123 \U0001F600!"


class Tokenize(unittest.TestCase):
    def ids(self):
        return run_json("tokenize", "-m", SMOLLM2, "-p", TEXT, "--json")["ids"]

    def test_all_outputs_name_the_same_ids(self):
        ids = self.ids()
        line = run("tokenize", "-m", SMOLLM2, "-p", TEXT, "--ids").stdout.decode()
        self.assertEqual([int(word) for word in line.split()], ids)
        table = run("tokenize", "-m", SMOLLM2, "-p", TEXT).stdout.decode().splitlines()
        self.assertEqual([int(row.split()[0]) for row in table], ids)
        self.assertEqual(bytes.fromhex("".join(row.split()[-1] for row in table)).decode(), TEXT)
        lines = json.dumps({"text": TEXT}) + "\n" + json.dumps({"bytes_hex": TEXT.encode().hex()}) + "\n"
        self.assertEqual([r["ids"] for r in json_lines(run("tokenize", "-m", SMOLLM2, "--jsonl", input=lines).stdout)], [ids, ids])

    def test_standard_input_is_taken_whole(self):
        self.assertEqual(run("tokenize", "-m", SMOLLM2, "--ids", input=TEXT).stdout.split(), [str(i).encode() for i in self.ids()])

    def test_detokenize_gives_the_text_back(self):
        ids = self.ids()
        text = ",".join(map(str, ids))
        self.assertEqual(run("detokenize", "-m", SMOLLM2, "--ids", text).stdout.decode(), TEXT)
        self.assertEqual(run("detokenize", "-m", SMOLLM2, input=text).stdout.decode(), TEXT)
        line = json.dumps({"ids": ids})
        answer = json_lines(run("detokenize", "-m", SMOLLM2, "--jsonl", input=line).stdout)[0]
        self.assertEqual(answer, {"text": TEXT, "bytes_hex": TEXT.encode().hex()})

    def test_control_tokens_only_when_asked_for(self):
        plain = run_json("tokenize", "-m", SMOLLM2, "-p", "<|im_start|>", "--json")["ids"]
        control = run_json("tokenize", "-m", SMOLLM2, "-p", "<|im_start|>", "--parse-special", "--json")["ids"]
        self.assertGreater(len(plain), 1)
        self.assertEqual(len(control), 1)
        self.assertEqual(run("detokenize", "-m", SMOLLM2, "--ids", str(control[0])).stdout, b"")
        self.assertEqual(run("detokenize", "-m", SMOLLM2, "--special", "--ids", str(control[0])).stdout, b"<|im_start|>")

    def test_bad_ids_are_refused_by_name(self):
        done = run("detokenize", "-m", SMOLLM2, "--ids", "1,x")
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"'x'", done.stderr)
        self.assertNotEqual(run("detokenize", "-m", SMOLLM2, "--ids", "99999999").returncode, 0)


if __name__ == "__main__":
    llmgen.main()
