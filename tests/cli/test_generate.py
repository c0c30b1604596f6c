"""The main command on a real model: prompt sources, streams, reproducible answers."""
import json
import os
import pathlib
import tempfile
import unittest

import llmgen
from llmgen import SMOLLM2, VALID, run, run_json

GREEDY = ("--temp", "0", "-n", "16")


class Generate(unittest.TestCase):
    def answer(self, *args, **kwargs):
        done = run("-m", SMOLLM2, *args, **kwargs)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_prompt_from_option_file_and_pipe_give_one_answer(self):
        text = "The capital of France is"
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(text)
            file.flush()
            from_file = self.answer("-f", file.name, *GREEDY)
        from_option = self.answer("-p", text, *GREEDY)
        self.assertGreater(len(from_option), 10)
        self.assertEqual(from_option, from_file)
        self.assertEqual(from_option, self.answer(*GREEDY, input=text))
        self.assertEqual(from_option, self.answer("-f", "-", *GREEDY, input=text))

    def test_stdout_is_the_answer_alone_and_quiet_is_quiet(self):
        done = run("-m", SMOLLM2, "-p", "Hello", *GREEDY, "-q")
        self.assertEqual(done.stderr, b"")
        loud = run("-m", SMOLLM2, "-p", "Hello", *GREEDY, "-v")
        self.assertEqual(loud.stdout, done.stdout)
        self.assertIn(b"tokens/s", loud.stderr)

    def test_one_seed_gives_one_text_and_another_seed_another(self):
        first = self.answer("-p", "A story:", "-s", "7", "-n", "24", "--temp", "1")
        self.assertEqual(first, self.answer("-p", "A story:", "-s", "7", "-n", "24", "--temp", "1"))
        self.assertEqual(first, self.answer("-p", "A story:", "-s", "7", "-n", "24", "--temp", "1", "-t", "1", "--chunk", "1"))
        self.assertNotEqual(first, self.answer("-p", "A story:", "-s", "8", "-n", "24", "--temp", "1"))

    def test_json_has_text_ids_and_timings(self):
        answer = run_json("-m", SMOLLM2, "-p", "The capital of France is", *GREEDY, "--json")
        self.assertEqual(len(answer["ids"]), 16)
        self.assertEqual(answer["finish_reason"], "length")
        self.assertGreater(answer["timings"]["prompt_ms"], 0)
        text = run("detokenize", "-m", SMOLLM2, "--ids", ",".join(map(str, answer["ids"]))).stdout.decode()
        self.assertEqual(text, answer["text"])
        again = run_json("-m", SMOLLM2, "--prompt-ids", ",".join(map(str, answer["prompt_ids"])), *GREEDY, "--json")
        self.assertEqual(again["ids"], answer["ids"])

    def test_stop_string_is_never_printed(self):
        whole = self.answer("-p", "Count: 1, 2, 3,", "--temp", "0", "-n", "32").decode()
        stop = whole[10:14]
        cut = run_json("-m", SMOLLM2, "-p", "Count: 1, 2, 3,", "--temp", "0", "-n", "32", "--stop", stop, "--json")
        self.assertEqual(cut["text"], whole[: whole.index(stop)])
        self.assertEqual(cut["finish_reason"], "stop")
        self.assertEqual(cut["stop"], stop)

    def test_chat_applies_the_template_and_ends_by_itself(self):
        answer = run_json("-m", SMOLLM2, "--chat", "-p", "Say hello.", "--temp", "0", "-n", "200", "--json")
        self.assertEqual(answer["finish_reason"], "stop")
        self.assertIn("<|im_start|>", run("detokenize", "-m", SMOLLM2, "--special", "--ids", ",".join(map(str, answer["prompt_ids"]))).stdout.decode())

    def test_user_text_never_becomes_a_control_token(self):
        control = run_json("tokenize", "-m", SMOLLM2, "-p", "<|im_end|>", "--parse-special", "--json")["ids"]
        self.assertEqual(len(control), 1)
        chat = run_json("-m", SMOLLM2, "--chat", "-p", "a<|im_end|>b", "-n", "1", "--json")["prompt_ids"]
        plain = run_json("-m", SMOLLM2, "--chat", "-p", "ab", "-n", "1", "--json")["prompt_ids"]
        self.assertEqual(chat.count(control[0]), plain.count(control[0]))

    def test_raw_completion_mentions_chat_once(self):
        done = run("-m", SMOLLM2, "-p", "x", "-n", "1")
        self.assertEqual(done.stderr.count(b"--chat"), 1)

    def test_environment_and_config_file_give_options(self):
        by_flag = self.answer("-p", "Hi", *GREEDY)
        by_environment = run("-p", "Hi", env={"LLMGEN_MODEL": str(SMOLLM2), "LLMGEN_TEMP": "0", "LLMGEN_MAX_TOKENS": "16"})
        self.assertEqual(by_flag, by_environment.stdout)
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(f'model="{SMOLLM2}"\ntemp=0\nmax-tokens=16\n')
            file.flush()
            self.assertEqual(by_flag, run("--config", file.name, "-p", "Hi").stdout)

    def test_model_is_known_by_its_magic_not_its_name(self):
        with tempfile.TemporaryDirectory() as folder:
            link = pathlib.Path(folder) / "model.bin"
            os.symlink(VALID, link)
            self.assertEqual(run("-m", link, "--ids", "1,4", "-n", "2", "--ignore-eos", "--json").returncode, 0)

    def test_logprobs_of_the_chosen_token_are_the_best_when_greedy(self):
        answer = run_json("-m", SMOLLM2, "-p", "The capital of France is", *GREEDY, "--logprobs", "3", "--json")
        for token in answer["logprobs"]["content"]:
            self.assertEqual(token["id"], token["top_logprobs"][0]["id"])
            self.assertLessEqual(token["top_logprobs"][1]["logprob"], token["logprob"])

    def test_n_is_kept_beyond_the_trained_context(self):
        prompt = ("--ids", "1,4,9", "--ignore-eos", "--temp", "0", "--json")
        for args, n in ((("-n", "50"), 50), (("-c", "64", "-n", "-1"), 61)):
            done = run("-m", VALID, *prompt, *args)
            self.assertEqual(len(json.loads(done.stdout)["ids"]), n, done.stderr)
            self.assertIn(b"trained", done.stderr)
        # Neither a default nor -1 goes beyond the 32 tokens it was trained for, and nothing beyond learned positions.
        for model, args, n in ((VALID, (), 29), (VALID, ("-n", "-1"), 29), (VALID, ("-c", "16", "-n", "50"), 13),
                               (llmgen.DATA / "golden/gpt2", ("-n", "100"), 61)):
            done = run("-m", model, *prompt, *args)
            answer = json.loads(done.stdout)
            self.assertEqual((len(answer["ids"]), answer["finish_reason"]), (n, "context"), done.stderr)
            self.assertNotIn(b"trained", done.stderr)
            self.assertIn(b"is full", done.stderr)


if __name__ == "__main__":
    llmgen.main()
