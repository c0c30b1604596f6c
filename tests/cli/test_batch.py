"""llmgen batch: forms of lines, options, order, streaming, sharding, scores, vectors, what a terminal sees."""
import base64
import json
import os
import pathlib
import pty
import random
import re
import signal
import struct
import subprocess
import tempfile
import threading
import time
import unittest

import llmgen
from llmgen import PROGRAM, SMOLLM2, VALID, json_lines, run

TINY = ("batch", "-m", VALID, "-q")


def tiny_lines(n, tokens=6):
    rng = random.Random(5)
    return [json.dumps({"id": f"r{i}", "prompt_ids": [rng.randrange(16) for _ in range(rng.randrange(1, 9))], "n": tokens, "ignore_eos": True})
            for i in range(n)]


class Batch(unittest.TestCase):
    def batch(self, *args, input, code=0, model=VALID, **kwargs):
        done = run("batch", "-m", model, "-q", *args, input=input, **kwargs)
        self.assertEqual(done.returncode, code, done.stderr)
        return json_lines(done.stdout)

    def test_results_keep_the_order_and_carry_ids_and_own_fields(self):
        lines = [json.dumps({"id": i, "prompt_ids": [i % 16], "n": 1 + i % 5, "ignore_eos": True, "mine": {"x": [i]}}) for i in range(40)]
        results = self.batch("--ids", input="\n".join(lines))
        self.assertEqual([r["id"] for r in results], list(range(40)))
        self.assertEqual([r["mine"] for r in results], [{"x": [i]} for i in range(40)])
        self.assertEqual([len(r["ids"]) for r in results], [1 + i % 5 for i in range(40)])

    def test_a_line_gives_the_same_ids_alone_and_among_others(self):
        lines = tiny_lines(24)
        together = self.batch("--ids", "--parallel", "16", input="\n".join(lines))
        one_by_one = self.batch("--ids", "--parallel", "1", input="\n".join(lines))
        self.assertEqual([r["ids"] for r in together], [r["ids"] for r in one_by_one])
        unordered = self.batch("--ids", "--unordered", input="\n".join(lines))
        self.assertEqual({r["id"]: r["ids"] for r in together}, {r["id"]: r["ids"] for r in unordered})

    def test_string_lines_plain_lines_messages_and_templates(self):
        answers = self.batch("-n", "4", "--temp", "0", model=SMOLLM2, input='"The sky is"\n{"prompt": "The sky is", "n": 4}\n')
        self.assertEqual(answers[0]["text"], answers[1]["text"])
        plain = self.batch("--lines", "-n", "4", "--temp", "0", model=SMOLLM2, input="The sky is\n")
        self.assertEqual(plain[0]["text"], answers[0]["text"])
        filled = self.batch("--template", "The {thing} is", "-n", "4", "--temp", "0", model=SMOLLM2, input='{"thing": "sky"}\n')
        self.assertEqual(filled[0]["text"], answers[0]["text"])
        self.assertEqual(filled[0]["thing"], "sky")
        chat = self.batch("-n", "4", "--temp", "0", model=SMOLLM2, input='{"messages": [{"role": "user", "content": "Say hello."}]}\n')
        one_shot = llmgen.run_json("-m", SMOLLM2, "--chat", "-p", "Say hello.", "-n", "4", "--temp", "0", "--json")
        self.assertEqual(chat[0]["text"], one_shot["text"])

    def test_every_sampling_flag_is_an_option_of_a_line(self):
        text = run("batch", "--help").stdout.decode()
        sampling = re.search(r"\nSampling.*?\n(.*?)\n\n", text, flags=re.S).group(1)
        flags = sorted({flag for line in sampling.splitlines() if line.startswith("  -") for flag in re.findall(r"--([a-z][a-z-]+)", line)})
        self.assertGreater(len(flags), 30)
        samples = {"seed": 1, "greedy": True, "samplers": "top_k;temperature", "stop": ["x"], "ignore-eos": True, "special": True,
                   "logit-bias": {"3": 1.5}, "logprobs": 2, "max-tokens": 2, "n-predict": 2, "temp": 0.5, "temperature": 0.5, "top-k": 3,
                   "mirostat": 2, "repeat-last-n": 8, "dry-allowed-length": 2, "dry-last-n": 8, "dry-base": 2.0, "repeat-penalty": 1.1}
        for flag in flags:
            value = samples.get(flag, 0.25)
            for name in {flag, flag.replace("-", "_")}:
                with self.subTest(name):
                    result = self.batch("--ids", "-n", "3", input=json.dumps({"prompt_ids": [1, 2], name: value}))[0]
                    self.assertNotIn(name, result if name not in ("seed", "logprobs") else {}, "taken for a field of the user's own")
            command_line = {"logit-bias": "3+1.5", "stop": "x"}.get(flag, value)
            argument = f"--{flag}" if value is True else f"--{flag}={command_line}"
            if flag not in ("seed", "stop", "special"):
                same = {"max-tokens": "n", "n-predict": "n", "temp": "temp", "temperature": "temp", "greedy": "temp"}.get(flag)
                line = {name: x for name, x in (("prompt_ids", [1, 2]), ("n", 9), ("temp", 1.5)) if name != same}
                by_line = self.batch("--ids", input=json.dumps({**line, flag: value}))[0]
                by_flag = self.batch("--ids", argument, input=json.dumps(line))[0]
                self.assertEqual(by_line["ids"], by_flag["ids"], flag)

    def test_openai_names_are_options_too(self):
        one = self.batch("--ids", input='{"prompt_ids": [1, 2], "n": 3, "temp": 0, "ignore_eos": true}')[0]
        two = self.batch("--ids", input='{"prompt_ids": [1, 2], "max_tokens": 3, "temperature": 0, "ignore_eos": true}')[0]
        self.assertEqual(one, two)
        three = self.batch("--ids", input='{"prompt_ids": [1, 2], "max_completion_tokens": 3, "temperature": 0, "ignore_eos": true, "logprobs": true, "top_logprobs": 2}')[0]
        self.assertEqual(three["ids"], one["ids"])
        self.assertEqual([len(t["top_logprobs"]) for t in three["logprobs"]["content"]], [2, 2, 2])

    def test_constraints_of_a_line(self):
        lines = [{"prompt": "Answer:", "choice": ["yes", "no"]}, {"prompt": "Answer:", "choice": "yes,no"}, {"prompt": "Count:", "regex": "[0-9]{3}"},
                 {"prompt": "JSON:", "json_schema": {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"], "additionalProperties": False}},
                 {"prompt": "JSON:", "grammar": 'root ::= "a" | "b"'}, {"prompt": "JSON:", "response_format": {"type": "json_schema", "json_schema": {
                     "name": "x", "schema": {"type": "integer", "minimum": 1, "maximum": 5}}}}]
        texts = [r["text"] for r in self.batch("-n", "20", model=SMOLLM2, input="\n".join(map(json.dumps, lines)))]
        self.assertIn(texts[0], ("yes", "no"))
        self.assertIn(texts[1], ("yes", "no"))
        self.assertRegex(texts[2], r"^[0-9]{3}$")
        self.assertIsInstance(json.loads(texts[3])["a"], bool)
        self.assertIn(texts[4], ("a", "b"))
        self.assertIn(float(texts[5]), range(1, 6))

    def test_the_seed_of_a_result_repeats_it_anywhere(self):
        lines = [json.dumps({"prompt_ids": [1, 2, 3], "n": 12}) for _ in range(6)]
        results = self.batch("--ids", "--temp", "2", "--seed", "7", input="\n".join(lines))
        self.assertGreater(len({tuple(r["ids"]) for r in results}), 1)
        again = self.batch("--ids", "--temp", "2", "--seed", "7", input="\n".join(lines))
        self.assertEqual(results, again)
        for r in results:
            alone = self.batch("--ids", "--temp", "2", input=json.dumps({"prompt_ids": [1, 2, 3], "n": 12, "seed": r["seed"]}))[0]
            self.assertEqual(alone["ids"], r["ids"])
        one_shot = llmgen.run_json("-m", VALID, "--prompt-ids", "1,2,3", "-n", "12", "--temp", "2", "--seed", str(results[4]["seed"]), "--json")
        self.assertEqual(one_shot["ids"], results[4]["ids"])

    def test_own_fields_with_the_name_of_ours_are_kept_apart(self):
        line = {"index": 99, "text": "The sky", "error": {"message": "mine"}, "note": "kept", "id": None}
        result = self.batch("--template", "{text} is", "-n", "2", "--temp", "0", model=SMOLLM2, input=json.dumps(line))[0]
        self.assertEqual(result["index"], 0)
        self.assertEqual(result["input"], {"index": 99, "text": "The sky"})
        self.assertEqual((result["note"], result["error"], result["id"]), ("kept", {"message": "mine"}, None))

    def test_templates_take_text_lines_and_are_checked_at_the_start(self):
        expected = self.batch("-n", "3", "--temp", "0", model=SMOLLM2, input='"Say {hi}: The sky is"')[0]["text"]
        for args, line in ((("--lines",), "The sky"), ((), '"The sky"'), ((), '{"text": "The sky", "stop_words": 3}')):
            self.assertEqual(self.batch(*args, "--template", "Say {{hi}}: {text} is", "-n", "3", "--temp", "0", model=SMOLLM2, input=line)[0]["text"], expected)
        self.assertEqual(self.batch("--template", "{a}", input='{"b": 1}', code=3)[0]["error"]["field"], "a")
        for pattern in ("{", "x {}", "{a"):
            self.assertEqual(run("batch", "-m", VALID, "--template", pattern, input="").returncode, 2)

    def test_system_messages_and_parts_of_messages(self):
        line = {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "Say "}, {"type": "text", "text": "hello."}]}]}
        other = {"prompt": "Say hello.", "system": "Be brief."}
        a, b = self.batch("-n", "4", "--temp", "0", model=SMOLLM2, input=json.dumps(line) + "\n" + json.dumps(other))
        self.assertEqual(a["text"], b["text"])
        flag = self.batch("-n", "4", "--temp", "0", "--system", "Be brief.", model=SMOLLM2, input='"Say hello."')[0]
        self.assertEqual(flag["text"], a["text"])

    def test_openai_batch_lines_get_openai_responses(self):
        def line(i, url, **body):
            return {"custom_id": f"a{i}", "method": "POST", "url": url, "body": {"model": "m", "user": None, "stop": None, **body}}

        hello = [{"role": "user", "content": "Say hello."}]
        lines = [line(0, "/v1/chat/completions", messages=hello, max_tokens=4, temperature=0, n=2, logprobs=True, top_logprobs=3),
                 line(1, "/v1/chat/completions", messages="x"),
                 line(2, "/v1/completions", prompt=["The sky is", "Grass is"], max_tokens=3, temperature=0, echo=True, n=2, unknown_thing=1),
                 line(3, "/v1/completions", prompt=[1, 2, 3], max_tokens=3, temperature=0, logprobs=2, ignore_eos=True),
                 line(4, "/v1/embeddings", input=["a", "b c"]),
                 line(5, "/v1/embeddings", input="a", encoding_format="base64"),
                 line(6, "/v1/chat/completions", messages=hello, temperature="hot"),
                 line(7, "/v1/chat/completions", messages=hello, stream=True),
                 line(8, "/v1/images", prompt="x"),
                 {"custom_id": 9, "url": "/v1/completions", "body": {}}, {"custom_id": "a10", "url": "/v1/completions"},
                 line(11, "/v1/completions", prompt="x", max_tokens=1, n=0),
                 line(12, "/v1/chat/completions", messages=hello, max_tokens=2, response_format={"type": "nonsense"})]
        results = self.batch("-c", "512", model=SMOLLM2, input="\n".join(map(json.dumps, lines)), code=3)
        self.assertEqual([r["custom_id"] for r in results], [x["custom_id"] for x in lines])
        for r in results:
            self.assertEqual(set(r), {"index", "id", "custom_id", "response", "error"})
            self.assertIsNone(r["error"])
            self.assertEqual(set(r["response"]), {"status_code", "request_id", "body"})
        bodies = [r["response"]["body"] for r in results]
        self.assertEqual([r["response"]["status_code"] for r in results], [200, 400, 200, 200, 200, 200] + [400] * 7)
        self.assertEqual([b["error"]["param"] for b in bodies if "error" in b],
                         ["messages", "temperature", "stream", "url", "custom_id", "body", "n", "response_format"])

        chat = bodies[0]
        self.assertEqual((chat["object"], chat["model"], len(chat["choices"])), ("chat.completion", "m", 2))
        self.assertEqual(chat["choices"][0]["message"]["role"], "assistant")
        self.assertEqual(chat["choices"][0]["finish_reason"], "length")
        self.assertEqual([len(t["top_logprobs"]) for t in chat["choices"][0]["logprobs"]["content"]], [3] * 4)
        self.assertEqual(chat["usage"]["completion_tokens"], 8)

        texts = [c["text"] for c in bodies[2]["choices"]]
        self.assertEqual([t.startswith(p) for t, p in zip(texts, ["The sky is", "The sky is", "Grass is", "Grass is"])], [True] * 4)
        self.assertEqual((texts[0], texts[2]), (texts[1], texts[3]))  # temperature 0
        self.assertEqual(bodies[2]["llmgen"]["warnings"], ["unknown_thing is ignored"])
        self.assertEqual(bodies[2]["object"], "text_completion")

        legacy = bodies[3]["choices"][0]["logprobs"]
        self.assertEqual({k: len(v) for k, v in legacy.items()}, {"tokens": 3, "token_logprobs": 3, "top_logprobs": 3, "text_offset": 3})
        self.assertEqual([len(t) for t in legacy["top_logprobs"]], [2] * 3)

        vectors = [d["embedding"] for d in bodies[4]["data"]]
        self.assertEqual([len(v) for v in vectors], [576] * 2)
        packed = struct.unpack("<576f", base64.b64decode(bodies[5]["data"][0]["embedding"]))
        self.assertEqual([struct.unpack("<f", struct.pack("<f", x))[0] for x in vectors[0]], list(packed))

    def test_unknown_fields_of_a_body_are_errors_when_strict(self):
        line = {"custom_id": "a", "url": "/v1/completions", "body": {"prompt": [1], "best_of": 2, "max_tokens": 1}}
        self.assertEqual(self.batch("--strict", input=json.dumps(line), code=3)[0]["response"]["body"]["error"]["param"], "best_of")

    def test_a_stream_is_served_as_it_arrives(self):
        process = subprocess.Popen([PROGRAM, *map(str, TINY)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=llmgen.environment())
        for i in range(5):
            process.stdin.write(json.dumps({"id": i, "prompt_ids": [i], "n": 3}).encode() + b"\n")
            process.stdin.flush()
            self.assertEqual(json.loads(process.stdout.readline())["id"], i)
        process.stdin.close()
        self.assertEqual(process.wait(timeout=30), 0)
        process.stdout.close()

    def test_shards_together_are_the_whole(self):
        lines = [json.dumps({"id": f"r{i}", "prompt_ids": [i % 16, 3], "n": 6}) for i in range(60)] + ["{broken", "[" * 100]
        whole = self.batch("--ids", "--temp", "1", input="\n".join(lines), code=3)
        parts = []
        for k in (1, 2, 3):
            part = run("batch", "-m", VALID, "-q", "--ids", "--temp", "1", "--shard", f"{k}/3", input="\n".join(lines))
            parts += json_lines(part.stdout)
            self.assertLess(len(json_lines(part.stdout)), 40)
        self.assertEqual(sorted(parts, key=lambda r: r["index"]), whole)
        for wrong in ("0/3", "4/3", "x", "1/0", "-1/3", "1/3x"):
            self.assertEqual(run("batch", "-m", VALID, "--shard", wrong, input="").returncode, 2)

    def test_scores_add_up_and_the_best_choice_is_the_likeliest(self):
        line = {"prompt": "The capital of France is", "completion": " Paris", "id": 3}
        score = self.batch("--score", model=SMOLLM2, input=json.dumps(line))[0]
        self.assertAlmostEqual(score["sum"], sum(score["logprobs"]), places=4)
        self.assertAlmostEqual(score["per_token"], score["sum"] / len(score["ids"]), places=6)
        choice = {"prompt": "The capital of France is", "choices": [" banana", " Paris", " the city of light"]}
        result = self.batch(model=SMOLLM2, input=json.dumps(choice))[0]
        sums = {c["text"]: c["sum"] for c in result["choices"]}
        self.assertEqual(result["best"], max(sums, key=sums.get))
        self.assertAlmostEqual(sums[" Paris"], score["sum"], places=4)
        for c in result["choices"]:
            self.assertAlmostEqual(c["per_byte"], c["sum"] / len(c["text"]), places=6)
        for key in ("sum", "per_token", "per_byte"):
            best = max(result["choices"], key=lambda c: c[key])["text"]
            self.assertEqual(result["best" if key == "sum" else f"best_{key}"], best)

    def test_greedy_completions_are_what_the_model_generates(self):
        answer = self.batch("-n", "5", "--temp", "0", "--ids", model=SMOLLM2, input='"The capital of France is"')[0]
        scores = self.batch("--score", model=SMOLLM2, input="\n".join(json.dumps(x) for x in (
            {"prompt": "The capital of France is", "completion": answer["text"]},
            {"prompt": "The capital of France is", "completion": answer["ids"]},
            {"prompt": "The capital of France is", "completion": " banana"})))
        self.assertEqual([s["greedy"] for s in scores], [True, True, False])
        self.assertEqual(scores[0]["ids"], answer["ids"])
        self.assertEqual(scores[0]["logprobs"], scores[1]["logprobs"])

    def test_perplexity_is_the_score_of_a_text(self):
        text = "The quick brown fox jumps over the lazy dog."
        tokens = llmgen.run_json("tokenize", "-m", SMOLLM2, "-p", text, "--json")
        ids = tokens["ids"] if isinstance(tokens, dict) else tokens
        score = self.batch("--score", model=SMOLLM2, input=json.dumps({"prompt_ids": ids[:1], "completion": ids[1:]}))[0]
        perplexity = llmgen.run_json("perplexity", "-m", SMOLLM2, "-p", text, "--json")
        self.assertAlmostEqual(perplexity["nll"], -score["per_token"], places=4)

    def test_vectors_are_those_of_the_embed_command(self):
        texts = ["a", "The quick brown fox jumps over the lazy dog.", "b c"] * 7
        one = [json.loads(line)["embedding"] for line in run("embed", "-m", SMOLLM2, "-c", "512", input="\n".join(texts)).stdout.splitlines()]
        lines = "\n".join(json.dumps({"id": i, "prompt": t}) for i, t in enumerate(texts))
        results = self.batch("--embed", "-c", "512", model=SMOLLM2, input=lines)
        self.assertEqual([r["embedding"] for r in results], one)
        self.assertEqual([r["id"] for r in results], list(range(len(texts))))
        self.assertAlmostEqual(sum(x * x for x in results[0]["embedding"]), 1, places=4)

    def test_ids_timings_and_logprobs_on_request(self):
        plain = self.batch("-n", "3", "--temp", "0", model=SMOLLM2, input='"The sky is"')[0]
        self.assertEqual(set(plain), {"index", "text", "finish_reason", "usage", "seed"})
        full = self.batch("-n", "3", "--temp", "0", "--ids", "--timings", "--logprobs", "2", model=SMOLLM2, input='"The sky is"')[0]
        self.assertEqual(set(full), set(plain) | {"ids", "timings", "logprobs"})
        self.assertEqual(len(full["ids"]), full["usage"]["completion_tokens"])
        self.assertIn("cached_tokens", full["timings"])
        for token in full["logprobs"]["content"]:
            self.assertEqual(len(token["top_logprobs"]), 2)
            self.assertEqual(token["top_logprobs"][0]["logprob"], token["logprob"])

    def test_memory_for_keys_and_values_can_be_given(self):
        lines = "\n".join(tiny_lines(12))
        expected = self.batch("--ids", input=lines)
        self.assertEqual(self.batch("--ids", "--kv-memory", "200k", "-c", "64", input=lines), expected)
        for wrong in ("x", "-1", "5Q", "0"):
            self.assertEqual(run("batch", "-m", VALID, "--kv-memory", wrong, input="").returncode, 2)

    def on_terminal(self, args, typed=b"", until=None):
        """What the program shows on stderr when that is a terminal, and its exit code."""
        parent, child = pty.openpty()
        process = subprocess.Popen([PROGRAM, *map(str, args)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=child, env=llmgen.environment())
        os.close(child)
        shown = b""
        def read():
            nonlocal shown
            try:
                while data := os.read(parent, 4096):
                    shown += data
            except OSError:  # the terminal is gone
                pass
        reader = threading.Thread(target=read)
        reader.start()
        if until is not None:
            until(process)
        process.stdin.close()
        process.wait(timeout=120)
        reader.join(timeout=10)
        os.close(parent)
        return shown.decode(), process.returncode

    def test_progress_is_shown_on_a_terminal_only(self):
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder) / "in"
            n = 1200 if llmgen.SANITIZERS else 12000  # a few seconds' work
            source.write_text("\n".join(tiny_lines(n, tokens=60)))
            shown, code = self.on_terminal(["batch", "-m", VALID, "-i", source])
            self.assertEqual(code, 0)
            self.assertRegex(shown, r"\[#+ *\] +\d+ % \d+ of \d+ lines, [0-9.]+ lines/s, \d+ tokens/s, \d+:\d\d left")
            quiet, _ = self.on_terminal(["batch", "-m", VALID, "-i", source, "-q"])
            self.assertEqual(quiet, "")
            piped = run("batch", "-m", VALID, "-i", source, "-o", folder + "/out")
            self.assertNotIn(b"\r", piped.stderr)
            self.assertRegex(piped.stderr.decode(), rf"^{n} lines in [0-9.]+ s, 0 failed; \d+ tokens evaluated, \d+ written, [0-9.]+ tokens/s\n$")

    def test_interrupt_says_how_to_go_on(self):
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder) / "in"
            source.write_text("\n".join(tiny_lines(20000, tokens=60)))
            process = subprocess.Popen([PROGRAM, "batch", "-m", str(VALID), "-i", str(source), "-o", folder + "/out"], stderr=subprocess.PIPE,
                                       env=llmgen.environment())
            while not os.path.exists(folder + "/out") or os.path.getsize(folder + "/out") == 0:
                self.assertIsNone(process.poll())
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
            self.assertEqual(process.returncode, 130, err)
            self.assertIn(b"--resume", err)

    def test_input_and_output_must_differ(self):
        with tempfile.NamedTemporaryFile() as file:
            self.assertEqual(run("batch", "-m", VALID, "-i", file.name, "-o", file.name).returncode, 2)


if __name__ == "__main__":
    llmgen.main()
