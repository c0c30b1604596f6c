"""What the program does with terminals, signals, odd arguments and files that change under it."""
import json
import os
import pathlib
import pty
import select
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import llmgen
from llmgen import PROGRAM, SMOLLM2, VALID, run, run_json

IDS = ("--ids", "1,4,9", "-n", "3", "--ignore-eos", "--temp", "0")


def start(*args, **kwargs):
    defaults = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([PROGRAM, *map(str, args)], env=llmgen.environment(), **{**defaults, **kwargs})


def on_terminal(*args, stdin=None):
    """What a terminal shows when stdout and stderr are one; its bytes and the exit code."""
    master, slave = pty.openpty()
    process = start(*args, stdin=stdin or subprocess.DEVNULL, stdout=slave, stderr=slave)
    os.close(slave)
    shown = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([master], [], [], 0.2)[0]:
            try:
                piece = os.read(master, 65536)
            except OSError:
                break
            if not piece:
                break
            shown += piece
    os.close(master)
    return shown, process.wait(timeout=30)


class Terminal(unittest.TestCase):
    def test_answer_on_a_terminal_ends_with_a_newline_and_has_no_control_characters(self):
        shown, code = on_terminal("-m", SMOLLM2, "-p", "Hello", "-n", "4", "--temp", "0", "-q")
        self.assertEqual(code, 0)
        self.assertTrue(shown.endswith(b"\n"), shown)
        self.assertNotIn(b"\x1b", shown)

    def test_no_progress_and_no_colour_where_there_is_no_terminal(self):
        done = run("-m", SMOLLM2, "-p", "Hello", "-n", "2", "--temp", "0")
        self.assertNotIn(b"\r", done.stderr)
        self.assertNotIn(b"\x1b", done.stderr)

    def test_colour_can_be_forced(self):
        line = '{"prompt_ids": [1], "n": 1, "no_such_field": 1}\n'
        plain = run("batch", "-m", VALID, "--color", "never", input=line)
        forced = run("batch", "-m", VALID, "--color", "always", input=line)
        self.assertNotIn(b"\x1b[", plain.stderr)
        self.assertEqual(plain.stdout.count(b"\n"), forced.stdout.count(b"\n"))

    def test_terminal_without_a_prompt_is_told_how_to_give_one(self):
        master, slave = pty.openpty()
        done = subprocess.run([PROGRAM, "-m", str(SMOLLM2)], stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=llmgen.environment(), timeout=60)
        os.close(master)
        os.close(slave)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"-p TEXT", done.stderr)


class Arguments(unittest.TestCase):
    def test_no_arguments_name_the_way_on(self):
        done = run()
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"LLMGEN_MODEL", done.stderr)

    def test_prompt_may_be_a_bare_word(self):
        asked = run("-m", SMOLLM2, "-p", "The capital of France", "-n", "4", "--temp", "0", "-q").stdout
        self.assertEqual(run("-m", SMOLLM2, "The capital of France", "-n", "4", "--temp", "0", "-q").stdout, asked)
        self.assertEqual(run("-m", SMOLLM2, "one", "-p", "two").returncode, 2)

    def test_misspelt_command_is_no_prompt(self):
        for word, meant in (("inspec", b"inspect"), ("tokenise", b"tokenize"), ("bath", b"batch")):
            done = run("-m", SMOLLM2, word)
            self.assertEqual(done.returncode, 2, word)
            self.assertIn(meant, done.stderr)

    def test_long_options_may_be_written_with_underscores(self):
        dashes = run_json("-m", VALID, *IDS, "--top-k", "3", "--json")
        self.assertEqual(run_json("-m", VALID, *IDS, "--top_k", "3", "--json")["ids"], dashes["ids"])
        self.assertEqual(run_json("-m", VALID, *IDS, "--top_k=3", "--json")["ids"], dashes["ids"])

    def test_errors_of_the_arguments_are_json_too_when_json_is_asked_for(self):
        done = run("-m", VALID, *IDS, "--json", "--no-such-option")
        self.assertEqual(done.returncode, 2)
        error = json.loads(done.stdout)["error"]
        self.assertEqual(error["code"], 2)
        self.assertIn("--no-such-option", error["message"])

    def test_help_shows_examples_and_every_command_has_its_own(self):
        whole = run("help").stdout
        self.assertIn(b"Examples:", whole)
        self.assertIn(b"Exit codes:", whole)
        self.assertEqual(whole, run("--help").stdout)
        self.assertEqual(run("help", "tokenize").stdout, run("tokenize", "--help").stdout)
        self.assertIn(b"inspect", run("help", "inspec").stderr)

    def test_numbers_out_of_range_are_refused_by_name(self):
        for option, value in (("--temp", "nan"), ("--temp", "inf"), ("--temp", "-1"), ("-n", "-2"), ("-n", "99999999999999999999"),
                              ("-c", "-1"), ("-t", "100000"), ("--top-k", "-1"), ("--top-p", "nan"), ("--min-p", "2"),
                              ("--seed", "x"), ("--repeat-penalty", "0"), ("--logit-bias", "1+x"), ("--chunk", "-1")):
            done = run("-m", VALID, "--ids", "1", option, value)
            self.assertEqual(done.returncode, 2, f"{option} {value}: {done.stderr}")
            self.assertEqual(done.stdout, b"")

    def test_things_that_are_no_model(self):
        with tempfile.TemporaryDirectory() as folder:
            for path, code in ((folder, 5), ("/dev/null", 4), ("/nowhere", 4), (llmgen.SOURCE / "LICENSE", 5)):
                done = run("-m", path, "-p", "x")
                self.assertEqual(done.returncode, code, f"{path}: {done.stderr}")
                self.assertIn(str(path).encode(), done.stderr)

    def test_config_file_that_is_missing_or_wrong(self):
        self.assertEqual(run("--config", "/nowhere.toml", "-m", VALID, *IDS).returncode, 4)
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write("temp=hot\n")
            file.flush()
            done = run("--config", file.name, "-m", VALID, *IDS)
            self.assertEqual(done.returncode, 2)
            self.assertIn(b"temp", done.stderr)

    def test_flag_beats_config_and_config_beats_environment(self):
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write("max-tokens=2\n")
            file.flush()
            env = {"LLMGEN_MAX_TOKENS": "3"}
            base = ("-m", VALID, "--ids", "1,4", "--ignore-eos", "--json")
            self.assertEqual(len(run_json(*base, env=env)["ids"]), 3)
            self.assertEqual(len(run_json(*base, "--config", file.name, env=env)["ids"]), 2)
            self.assertEqual(len(run_json(*base, "--config", file.name, "-n", "1", env=env)["ids"]), 1)

    def test_prompt_of_a_megabyte_is_answered_with_the_context_it_needs(self):
        done = run("-m", SMOLLM2, "-f", "-", input="word " * 200_000)
        self.assertEqual(done.returncode, 7, done.stderr)
        self.assertIn(b"200000", done.stderr)


class Signals(unittest.TestCase):
    def ends_with(self, number, code):
        process = start("-m", SMOLLM2, "-p", "Once upon a time", "-n", "4000", "--ignore-eos")
        self.assertTrue(process.stdout.read(1))
        process.send_signal(number)
        _, message = process.communicate(timeout=60)
        self.assertEqual(process.returncode, code, message)
        self.assertIn(b"tokens/s", message)

    def test_termination_finishes_the_token_and_is_143(self):
        self.ends_with(signal.SIGTERM, 143)

    def test_interrupt_leaves_whole_json(self):
        process = start("-m", SMOLLM2, "-p", "Once upon a time", "-n", "4000", "--ignore-eos", "--json", "-v")
        self.assertTrue(process.stderr.readline())
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        answer, message = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, message)
        self.assertEqual(json.loads(answer)["finish_reason"], "cancelled")

    def test_model_file_that_shrinks_while_in_use_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            model = pathlib.Path(folder) / "shrinking.gguf"
            shutil.copy(SMOLLM2, model)
            process = start("-m", model, "-n", "4", "-f", "-", stdin=subprocess.PIPE)
            # The model is open when the process has mapped it and sleeps: it waits for its prompt.
            facts = pathlib.Path(f"/proc/{process.pid}")
            deadline = time.monotonic() + 60
            n_asleep = 0
            while n_asleep < 5 and time.monotonic() < deadline:
                time.sleep(0.05)
                asleep = (facts / "stat").read_text().rsplit(")", 1)[1].split()[0] == "S"
                n_asleep = n_asleep + 1 if asleep and "shrinking.gguf" in (facts / "maps").read_text() else 0
            os.truncate(model, 4096)
            _, message = process.communicate(b"Hello", timeout=60)
            self.assertEqual(process.returncode, 4, message)
            lines = [line for line in message.splitlines() if line.startswith(b"llmgen: error: ")]
            self.assertEqual(len(lines), 1, message)
            self.assertIn(b"shrinking.gguf", lines[0])


class Manual(unittest.TestCase):
    def test_manual_page_has_every_option_of_the_help(self):
        page = run("man").stdout.decode().replace("\\-", "-")
        for command in ("", "batch", "logits", "tokenize"):
            helped = run(*([command] if command else []), "--help").stdout.decode()
            names = {word.strip(",") for line in helped.splitlines() if line.lstrip().startswith("-") for word in
                     line.split()[0].split(",") if word.startswith("--")}
            self.assertGreater(len(names), 5)
            for name in names:
                self.assertIn(name, page)
        self.assertTrue(page.startswith(".TH LLMGEN 1"))


if __name__ == "__main__":
    llmgen.main()
