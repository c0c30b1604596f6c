"""llmgen batch: forms of lines, order, errors in place, streaming, resuming after a kill."""
import json
import os
import pathlib
import random
import signal
import subprocess
import tempfile
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

    def test_openai_batch_lines_get_openai_responses(self):
        body = {"model": "m", "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 4, "temperature": 0, "n": 2}
        line = {"custom_id": "a1", "method": "POST", "url": "/v1/chat/completions", "body": body}
        bad = {"custom_id": "a2", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": "x"}}
        results = self.batch(model=SMOLLM2, input=json.dumps(line) + "\n" + json.dumps(bad) + "\n", code=3)
        self.assertEqual(results[0]["custom_id"], "a1")
        answer = results[0]["response"]["body"]
        self.assertEqual(results[0]["response"]["status_code"], 200)
        self.assertEqual(len(answer["choices"]), 2)
        self.assertEqual(answer["choices"][0]["message"]["role"], "assistant")
        self.assertEqual(answer["usage"]["completion_tokens"], 8)
        self.assertEqual(results[1]["response"]["status_code"], 400)
        self.assertEqual(results[1]["response"]["body"]["error"]["param"], "messages")

    def test_bad_lines_give_one_error_each_and_disturb_nothing(self):
        good = '{"prompt_ids": [1, 2], "n": 2, "temp": 0, "ignore_eos": true}'
        bad = ['{', '[1]', '17', 'null', 'nonsense', '{"prompt_ids": "x"}', '{"prompt_ids": [1.5]}', '{"prompt_ids": [-1]}', '{"prompt_ids": [99]}',
               '{"prompt_ids": []}', '{"n": 2}', '{"prompt_ids": [1], "n": "many"}', '{"prompt_ids": [1], "n": 1e30}',
               '{"prompt_ids": [1], "temp": "hot"}', '{"prompt_ids": [1], "top_p": 7}', '{"prompt_ids": [1], "temprature": 1}',
               '{"prompt_ids": [1], "seed": -1}', '{"prompt_ids": [1], "stop": [1]}', '{"prompt_ids": [1], "logit_bias": {"x": 1}}',
               '{"prompt_ids": [1], "regex": "("}', '{"prompt_ids": [1], "messages": []}', '{"messages": []}', '{"messages": [{"content": "x"}]}',
               '{"prompt_ids": ' + '[' * 5000 + ']' * 5000 + '}', '{"prompt_ids": [1], "prompt_ids": ', '{"prompt_ids": ' + str([1] * 5000) + '}']
        data = []
        for line in bad:
            data += [good.encode(), line.encode()]
        data.append(b'{"prompt": "\xff\xfe"}')
        results = self.batch("--ids", input=b"\n".join(data), code=3)
        self.assertEqual(len(results), len(data))
        ids = results[0]["ids"]
        for i, result in enumerate(results):
            if i % 2 == 0 and i < 2 * len(bad):
                self.assertEqual(result["ids"], ids)
            else:
                self.assertIn("error", result, data[i])
                self.assertTrue(result["error"]["message"])
        named = [r["error"]["field"] for r in results if "error" in r]
        for field in ("prompt_ids", "n", "temp", "temprature", "seed", "stop", "regex", "messages"):
            self.assertIn(field, named)

    def test_a_line_longer_than_64_mib_is_one_error(self):
        with tempfile.NamedTemporaryFile(delete=False) as file:
            file.write(b'{"prompt_ids": [1], "n": 1}\n"' + b"x" * (100 << 20) + b'"\n{"prompt_ids": [1], "n": 1}\n')
        try:
            results = self.batch("-i", file.name, input="", code=3)
        finally:
            os.unlink(file.name)
        self.assertEqual(["error" in r for r in results], [False, True, False])

    def test_a_stream_is_served_as_it_arrives(self):
        process = subprocess.Popen([PROGRAM, *map(str, TINY)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=llmgen.environment())
        for i in range(5):
            process.stdin.write(json.dumps({"id": i, "prompt_ids": [i], "n": 3}).encode() + b"\n")
            process.stdin.flush()
            self.assertEqual(json.loads(process.stdout.readline())["id"], i)
        process.stdin.close()
        self.assertEqual(process.wait(timeout=30), 0)
        process.stdout.close()

    def test_killed_and_resumed_runs_give_the_uninterrupted_output(self):
        lines = "\n".join(tiny_lines(400, tokens=48)) + "\n"
        rng = random.Random(11)
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "in").write_text(lines)
            args = [PROGRAM, *map(str, TINY), "-i", str(folder / "in"), "--ids", "--temp", "1"]
            start = time.monotonic()
            self.assertEqual(subprocess.run([*args, "-o", str(folder / "whole")], env=llmgen.environment()).returncode, 0)
            whole_time = time.monotonic() - start
            for _ in range(20):
                process = subprocess.Popen([*args, "-o", str(folder / "out"), "--resume"], env=llmgen.environment())
                time.sleep(rng.uniform(0, whole_time / 3))
                process.send_signal(signal.SIGKILL)
                process.wait()
                if rng.random() < 0.5 and (folder / "out").exists():
                    with open(folder / "out", "ab") as out:
                        out.write(b'{"index": 7, "torn')
            self.assertEqual(subprocess.run([*args, "-o", str(folder / "out"), "--resume"], env=llmgen.environment()).returncode, 0)
            self.assertEqual((folder / "out").read_bytes(), (folder / "whole").read_bytes())

    def test_shards_together_are_the_whole(self):
        lines = tiny_lines(60)
        whole = {r["id"]: r["ids"] for r in self.batch("--ids", "--temp", "0", input="\n".join(lines))}
        parts = {}
        for k in (1, 2, 3):
            for r in self.batch("--ids", "--temp", "0", "--shard", f"{k}/3", input="\n".join(lines)):
                self.assertNotIn(r["id"], parts)
                parts[r["id"]] = r["ids"]
        self.assertEqual(parts, whole)

    def test_scores_add_up_and_the_best_choice_is_the_likeliest(self):
        line = {"prompt": "The capital of France is", "completion": " Paris"}
        score = self.batch("--score", model=SMOLLM2, input=json.dumps(line))[0]
        self.assertAlmostEqual(score["sum"], sum(score["logprobs"]), places=4)
        choice = {"prompt": "The capital of France is", "choices": [" banana", " Paris", " the"]}
        result = self.batch(model=SMOLLM2, input=json.dumps(choice))[0]
        sums = {c["text"]: c["sum"] for c in result["choices"]}
        self.assertEqual(result["best"], max(sums, key=sums.get))
        self.assertAlmostEqual(sums[" Paris"], score["sum"], places=4)

    def test_interrupt_says_how_to_go_on(self):
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder) / "in"
            source.write_text("\n".join(tiny_lines(20000, tokens=60)))
            process = subprocess.Popen([PROGRAM, "batch", "-m", str(VALID), "-i", str(source), "-o", folder + "/out"], stderr=subprocess.PIPE,
                                       env=llmgen.environment())
            time.sleep(1)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
            self.assertEqual(process.returncode, 130, err)
            self.assertIn(b"--resume", err)

    def test_input_and_output_must_differ(self):
        with tempfile.NamedTemporaryFile() as file:
            self.assertEqual(run("batch", "-m", VALID, "-i", file.name, "-o", file.name).returncode, 2)


if __name__ == "__main__":
    llmgen.main()
