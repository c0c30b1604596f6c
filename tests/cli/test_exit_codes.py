"""Every exit code of the documentation, one by one, and what stands on stdout and stderr."""
import json
import os
import signal
import subprocess
import tempfile
import time
import unittest

import llmgen
from llmgen import PROGRAM, SMOLLM2, VALID, run


class ExitCodes(unittest.TestCase):
    def fails(self, code, words, *args, **kwargs):
        done = run(*args, **kwargs)
        message = done.stderr.decode()
        self.assertEqual(done.returncode, code, message)
        self.assertEqual(done.stdout, b"")
        lines = [line for line in message.splitlines() if line.startswith("llmgen: error: ")]
        self.assertEqual(len(lines), 1, message)
        for word in words:
            self.assertIn(word, lines[0])

    def test_done_is_0(self):
        done = run("-m", VALID, "--ids", "1,4,9", "-n", "3", "--ignore-eos", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_unknown_option_is_2_and_names_the_nearest(self):
        self.fails(2, ["--temperatur", "did you mean --temperature"], "-m", VALID, "--temperatur", "1")

    def test_option_out_of_range_is_2(self):
        self.fails(2, ["top_p"], "-m", VALID, "--ids", "1", "--top-p", "1.5")

    def test_of_an_option_given_twice_the_last_counts(self):
        done = run("-m", VALID, "--ids", "1,4,9", "-n", "3", "-n", "5", "-n", "2", "--ignore-eos", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(json.loads(done.stdout)["ids"]), 2)
        done = run("tokenize", "-m", VALID, "-q", "--help", "--help")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_missing_model_is_2(self):
        self.fails(2, ["LLMGEN_MODEL"], "-p", "x")

    def test_failed_lines_of_a_batch_are_3(self):
        done = run("batch", "-m", VALID, "-q", input='{"prompt_ids": [1], "n": 1}\n{"prompt_ids": "x"}\n')
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertEqual(len(done.stdout.splitlines()), 2)

    def test_missing_file_is_4(self):
        self.fails(4, ["/nowhere/model.gguf"], "-m", "/nowhere/model.gguf", "-p", "x")

    def test_full_disk_is_4(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([PROGRAM, "-m", str(VALID), "--ids", "1,4", "-n", "2", "--ignore-eos", "--json"], stdout=full,
                                  stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=llmgen.environment(), timeout=60)
        self.assertEqual(done.returncode, 4, done.stderr)

    def test_damaged_model_is_5(self):
        with tempfile.NamedTemporaryFile(suffix=".bin") as file:
            file.write(VALID.read_bytes()[:100])
            file.flush()
            self.fails(5, [file.name], "-m", file.name, "--ids", "1")

    def test_empty_file_and_text_file_are_5(self):
        with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
            self.fails(5, [file.name], "-m", file.name, "--ids", "1")
        self.fails(5, ["README.md"], "-m", llmgen.SOURCE / "README.md", "--ids", "1")

    def test_a_run_that_cannot_fit_is_6_before_it_starts(self):
        start = time.monotonic()
        self.fails(6, ["available"], "-m", SMOLLM2, "-p", "x", "-c", str(1 << 30))
        self.assertLess(time.monotonic() - start, 5)

    def test_prompt_longer_than_the_context_is_7(self):
        self.fails(7, ["context"], "-m", VALID, "--ids", ",".join(["1"] * 50), "-c", "16")

    def test_prompt_longer_than_the_trained_context_is_7(self):
        self.fails(7, ["context"], "-m", VALID, "--ids", ",".join(["1"] * 5000))

    def test_interrupt_is_130_and_shows_timings(self):
        process = subprocess.Popen([PROGRAM, "-m", str(SMOLLM2), "-p", "Once upon a time", "-n", "4000", "--ignore-eos"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=llmgen.environment())
        self.assertTrue(process.stdout.read(1))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 130, err)
        self.assertIn(b"tokens/s", err)

    def test_closed_pipe_ends_quietly(self):
        command = f"'{PROGRAM}' -m '{SMOLLM2}' -p 'Once upon a time' -n 4000 --ignore-eos -q | head -c 10"
        done = subprocess.run(["bash", "-c", command + "; echo ${PIPESTATUS[0]} >&2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=llmgen.environment(), timeout=60, stdin=subprocess.DEVNULL)
        self.assertEqual(len(done.stdout), 10)
        self.assertEqual(done.stderr.split(), [b"0"])

    def test_json_reports_errors_as_an_object_too(self):
        done = run("-m", "/nowhere/x", "-p", "x", "--json")
        self.assertEqual(done.returncode, 4)
        self.assertEqual(llmgen.json_lines(done.stdout)[0]["error"]["code"], 4)

    def test_help_and_version_go_to_stdout(self):
        for flag in ("--help", "--version"):
            done = run(flag)
            self.assertEqual(done.returncode, 0)
            self.assertIn(b"llmgen", done.stdout)
            self.assertEqual(done.stderr, b"")


if __name__ == "__main__":
    llmgen.main()
