"""What changes how an answer is made: adapters, saved prompts, guesses. Only adapters change the answer."""
import json
import pathlib
import tempfile
import unittest

import llmgen
from llmgen import SMOLLM2, run, run_json

DATA = pathlib.Path(__file__).resolve().parents[1] / "data"
LLAMA = DATA / "golden" / "llama-gqa"
ADAPTER = DATA / "lora" / "llama-all"
IDS = ("--prompt-ids", "5,6,7,8,9", "--temp", "0", "-n", "12", "--json")

TEXT = "The harbour master keeps a ledger of every ship. " * 12


class Adapters(unittest.TestCase):
    def test_adapter_changes_the_answer_by_its_scale(self):
        plain = run_json("-m", LLAMA, *IDS)["ids"]
        adapted = run_json("-m", LLAMA, "--lora", ADAPTER, *IDS)["ids"]
        self.assertNotEqual(adapted, plain)
        self.assertEqual(run_json("-m", LLAMA, "--lora", f"{ADAPTER}:0", *IDS)["ids"], plain)
        self.assertEqual(run_json("-m", LLAMA / "model.gguf", "--lora", ADAPTER / "adapter.gguf", *IDS)["ids"], adapted)
        halves = run_json("-m", LLAMA, "--lora", f"{ADAPTER}:0.5", "--lora", f"{ADAPTER}:0.5", *IDS)["ids"]
        self.assertEqual(halves, adapted)

    def test_batch_runs_with_an_adapter(self):
        alone = run_json("-m", LLAMA, "--lora", ADAPTER, *IDS)["ids"]
        lines = "".join(json.dumps({"prompt_ids": [5, 6, 7, 8, 9]}) + "\n" for _ in range(3))
        done = run("batch", "-m", LLAMA, "--lora", ADAPTER, "--temp", "0", "-n", "12", "--ids", "-q", input=lines)
        self.assertEqual([json.loads(line)["ids"] for line in done.stdout.splitlines()], [alone] * 3)

    def test_adapter_that_does_not_fit_is_refused_in_one_line(self):
        for model, adapter, code in [
            (DATA / "golden" / "gpt2", ADAPTER, 5),
            (DATA / "golden" / "gpt2", ADAPTER / "adapter.gguf", 5),
            (LLAMA, LLAMA / "model.gguf", 5),
            (LLAMA, DATA / "nothing-here", 4),
            (LLAMA, LLAMA, 4),
        ]:
            done = run("-m", model, "--lora", adapter, *IDS[:-1])
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)


class SavedPrompts(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name) / "prompt.state"

    def answer(self, *args):
        done = run("-m", SMOLLM2, "-p", TEXT, "-s", "3", "-n", "12", "--json", "--cache-prompt", self.path, *args)
        self.assertEqual(done.returncode, 0, done.stderr)
        answer = json.loads(done.stdout)
        return answer, answer["usage"]["prompt_tokens_details"]["cached_tokens"], done.stderr.decode()

    def test_second_run_begins_from_the_file_with_the_same_answer(self):
        first, n_first, _ = self.answer()
        self.assertEqual(n_first, 0)
        second, n_second, said = self.answer()
        self.assertEqual(second["ids"], first["ids"])
        self.assertEqual(n_second, len(first["prompt_ids"]) - 1)
        self.assertNotIn("warning", said)

    def test_damaged_and_wrong_files_are_ignored_with_a_sentence(self):
        expected, _, _ = self.answer()
        whole = self.path.read_bytes()
        self.path.write_bytes(whole[:5000] + b"?" + whole[5001:])
        answer, n_cached, said = self.answer()
        self.assertEqual((answer["ids"], n_cached), (expected["ids"], 0))
        self.assertIn("damaged", said)
        self.assertEqual(self.path.read_bytes()[:8], b"LLMSTATE")
        _, n_cached, said = self.answer("--kv-type", "q8_0")
        self.assertEqual(n_cached, 0)
        self.assertIn("another model", said)

    def test_file_of_the_user_is_never_overwritten(self):
        self.path.write_text("my notes")
        _, n_cached, said = self.answer()
        self.assertEqual(n_cached, 0)
        self.assertIn("no saved state", said)
        self.assertEqual(self.path.read_text(), "my notes")


class SavedPromptsOfRecurrentModels(unittest.TestCase):
    MODELS = ("mamba", "mamba2", "falcon_mamba", "rwkv", "jamba", "falcon_h1", "granitemoehybrid", "recurrent_gemma", "qwen3_next", "lfm2")

    def test_second_run_begins_at_the_end_of_the_prompt_with_the_default_memory(self):
        for name in self.MODELS:
            for n_prompt in (9, 50):
                with self.subTest(model=name, n_prompt=n_prompt), tempfile.TemporaryDirectory() as folder:
                    ids = ",".join(str(3 + i * 7 % 40) for i in range(n_prompt))
                    args = ("-m", DATA / "golden" / name, "--prompt-ids", ids, "-n", "8", "--temp", "0", "--json")
                    plain = run_json(*args)
                    args += ("--cache-prompt", pathlib.Path(folder) / "prompt.state")
                    first, second = run_json(*args), run_json(*args)
                    self.assertEqual(first["ids"], plain["ids"])
                    self.assertEqual(second["ids"], plain["ids"])
                    self.assertEqual(first["usage"]["prompt_tokens_details"]["cached_tokens"], 0)
                    self.assertEqual(second["usage"]["prompt_tokens_details"]["cached_tokens"], n_prompt - 1)


class Guesses(unittest.TestCase):
    ARGS = ("-p", "Repeat: one two three four five. one two three four five. one two three", "-n", "40", "--json")

    def test_lookup_and_draft_never_change_the_text(self):
        for temperature in ("0", "0.9"):
            args = (*self.ARGS, "--temp", temperature, "-s", "11")
            plain = run_json("-m", SMOLLM2, *args)
            for more in (["--lookup"], ["--lookup", "4"], ["--draft-model", SMOLLM2], ["--draft-model", SMOLLM2, "--draft-max", "3", "--lookup"]):
                guessed = run_json("-m", SMOLLM2, *args, *more)
                self.assertEqual(guessed["ids"], plain["ids"], more)
                self.assertEqual(guessed["text"], plain["text"], more)
                self.assertGreater(guessed["timings"]["guessed_tokens"], 0)

    def test_draft_model_with_another_vocabulary_is_a_usage_error(self):
        done = run("-m", SMOLLM2, *self.ARGS, "--draft-model", LLAMA)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"vocabulary", done.stderr)


if __name__ == "__main__":
    llmgen.main()
