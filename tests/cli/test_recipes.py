"""Runs the commands of README.md and docs/batch.md as they stand there."""
import csv
import io
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import llmgen
from llmgen import PROGRAM, SMOLLM2, SOURCE


def shell_blocks(path):
    return re.findall(r"```sh\n(.*?)```", path.read_text(), flags=re.S)


class Recipes(unittest.TestCase):
    def shell(self, command, folder):
        env = llmgen.environment(LLMGEN_MODEL=str(SMOLLM2), LLMGEN_CONTEXT="2048",
                                 PATH=f"{pathlib.Path(PROGRAM).parent}:{os.environ['PATH']}")
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=folder, env=env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)
        self.assertEqual(done.returncode, 0, f"{command}\n{done.stderr.decode(errors='replace')}")
        return done.stdout.decode(errors="replace")

    def test_batch_recipes(self):
        blocks = shell_blocks(SOURCE / "docs/batch.md")
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "notes").mkdir()
            (folder / "notes/a.txt").write_text("The lighthouse was built in 1820. It has guided ships ever since.")
            (folder / "notes/b.txt").write_text("Bread needs flour, water, salt and time.")
            (folder / "words.csv").write_text("english,id\nhouse,1\nwater,2\n")
            (folder / "reviews.txt").write_text("A wonderful film.\nDull and far too long.\nI would watch it again.\n")
            (folder / "code.py").write_text("def add(a, b):\n    return")
            output = {}
            for block in blocks:
                title = next(t for t, command in self.RECIPES.items() if command in block and t not in output)
                output[title] = self.shell(block, folder)
            merged = llmgen.json_lines((folder / "merged.jsonl").read_bytes())
            one_run = llmgen.json_lines((folder / "out.jsonl").read_bytes())
        self.assertEqual(set(output), set(self.RECIPES))
        self.assertRegex(output["summaries"], r"^notes/a.txt: \S[^\0]*\nnotes/b.txt: \S")
        table = list(csv.reader(io.StringIO(output["translation"])))
        self.assertEqual(table[0], ["english", "french"])
        self.assertEqual([row[0] for row in table[1:]], ["house", "water"])
        self.assertTrue(all(row[1] for row in table[1:]))
        self.assertRegex(output["code"], r"\ba\b")
        for line in output["classes"].splitlines():
            self.assertRegex(line, r"-> (positive|negative)$")
        self.assertEqual([int(float(x)) in range(1, 6) for x in output["schema"].split()], [True] * 3)
        surprise = [json.loads(line) for line in output["surprise"].splitlines()]
        self.assertEqual(sorted(i for i, _ in surprise), [0, 1, 2])
        self.assertEqual([x for _, x in surprise], sorted(x for _, x in surprise))
        pair = json.loads(output["nearest"].replace("\n", ""))
        self.assertTrue(0 <= pair[0] < pair[1] <= 2)
        self.assertEqual(len(output["loop"].splitlines()) >= 3, True)
        for title in ("resume", "failed", "shards", "processes"):
            self.assertEqual(output[title].split()[-1], "3", output[title])
        self.assertEqual(merged, one_run)

    # What tells the commands of docs/batch.md apart; in their order there.
    RECIPES = {"summaries": "notes/*.txt", "translation": "mlr", "code": "code.py", "classes": "choices:", "schema": "json_schema", "surprise": "--score",
               "nearest": "--embed", "loop": "while read", "resume": "--resume", "failed": "select(.error", "shards": "--shard", "processes": "xargs -P"}

    def test_readme_examples(self):
        blocks = shell_blocks(SOURCE / "README.md")
        examples = next(b for b in blocks if b.startswith("llmgen -p"))
        self.assertGreaterEqual(len(examples.splitlines()), 10)
        for line in examples.splitlines():
            with self.subTest(line):
                self.assertTrue(self.shell(line, SOURCE).strip())

    def test_readme_program_is_the_example_that_is_built(self):
        program = re.search(r"```cpp\n(.*?)```", (SOURCE / "README.md").read_text(), flags=re.S).group(1)
        built = (SOURCE / "tools/examples/generate.cpp").read_text()
        self.assertEqual(program.strip(), built.split("\n", 1)[1].strip())
        example = llmgen.BUILD / "tools/examples/example_generate"
        done = subprocess.run([example, SMOLLM2, "The capital of France is"], stdout=subprocess.PIPE, timeout=120)
        self.assertEqual(done.returncode, 0)
        self.assertIn(b"Paris", done.stdout)


if __name__ == "__main__":
    llmgen.main()
