"""llmgen batch and lines that cannot be served: one error object each that names the field, nothing else disturbed."""
import json
import pathlib
import tempfile
import unittest

import llmgen
from llmgen import SMOLLM2, VALID, json_lines, run

GOOD = [{"id": "g0", "prompt": "The sky is", "n": 2}, {"id": "g1", "messages": [{"role": "user", "content": "Hi"}], "n": 2, "temp": 0.9},
        {"id": "g2", "prompt_ids": [1, 2, 3], "max_tokens": 3}]
HUGE = ["1e400", "-1e400", "1e308", "1" + "0" * 40, "-1" + "0" * 40]
NUMBERS = ["temp", "temperature", "top_p", "min_p", "typical_p", "top_n_sigma", "repeat_penalty", "repetition_penalty", "presence_penalty",
           "frequency_penalty", "xtc_probability", "xtc_threshold", "dry_multiplier", "dry_base", "dynatemp_range", "dynatemp_exponent",
           "mirostat_tau", "mirostat_eta", "adaptive_decay"]
COUNTS = ["n", "max_tokens", "n_predict", "max_completion_tokens", "top_k", "repeat_last_n", "dry_allowed_length", "dry_last_n", "mirostat", "seed",
          "lookup"]
FLAGS = ["greedy", "ignore_eos", "special", "json_object", "lax"]
MISSPELT = ["temprature", "temperatur", "Temperature", "topK", "topp", "top-kk", "max_token", "maxTokens", "max_new_tokens", "num_predict",
            "repeat_penality", "presence_penalti", "logprob", "regexp", "gramar", "jsonschema", "ignoreEos", "stop_sequences"]


def malformed():
    """Pairs of a line's bytes and the field that its error must name (None: any)."""
    cases = []

    def add(field, line):
        cases.append((line if isinstance(line, bytes) else line.encode(), field))

    whole = json.dumps({"id": 1, "prompt": "The sky is blue", "n": 2})
    for end in range(1, len(whole), 3):
        add(None, whole[:end])
    for line in ("[1]", "17", "true", "null", "nonsense", "{}}", '{"prompt": "x"} {"prompt": "y"}', "'prompt'", "{'prompt': 'x'}", '{"prompt": "x",}',
                 '{"prompt": "a\tb"}', '{"prompt": "\\x"}', '{"prompt": NaN}', "\x00", '{"prompt": "x"\x00}', "{prompt: 1}", '{"prompt" "x"}', '[]'):
        add(None, line)
    for depth in (65, 100, 5000, 200000):
        add("mine", '{"prompt": "x", "mine": ' + "[" * depth + "]" * depth + "}")
        add("mine", '{"mine": ' + '{"a":' * depth + "1" + "}" * depth + ', "prompt": "x"}')
        add("line", "[" * depth)
    for name in NUMBERS:
        for value in ('"hot"', "[1]", '{"a": 1}', "true"):
            add(name, '{"prompt": "x", "%s": %s}' % (name, value))
    for name in COUNTS:
        for value in ('"many"', "1.5", "-7", "[]") + tuple(HUGE):
            add(name, '{"prompt": "x", "%s": %s}' % (name, value))
    for name in ("temp", "top_p", "repeat_penalty", "presence_penalty"):
        for value in HUGE[:2] + HUGE[3:]:
            if not (name == "temp" and value == HUGE[3]):  # as a float it is finite
                add(name, '{"prompt": "x", "%s": %s}' % (name, value if name != "presence_penalty" else "1e400"))
    for name in FLAGS:
        for value in ("1", '"yes"', "null"):
            add(name, '{"prompt": "x", "%s": %s}' % (name, value))
    for name, values in {
            "top_p": ["7", "-0.1"], "min_p": ["2"], "mirostat": ["3"], "temp": ["-1"], "repeat_penalty": ["0"], "stop": ["1", "[1]", '{"a": 1}', json.dumps(["x"] * 65)],
            "logit_bias": ["1", '{"x": 1}', '{"1": "x"}', '{"99999999": 1}', '["x"]', "[[1]]", "[[-1, 2]]"], "samplers": ["1", '"nonsense"', '["top_k", "nope"]'],
            "regex": ['"("', "1", '"[z-a]"'], "grammar": ['"root ="', "[]"], "choice": ["1", "[]", "[1]"], "json_schema": ["1", '"{"', '{"type": "nonsense"}'],
            "response_format": ["1", "{}", '{"type": "x"}', '{"type": "json_schema"}'], "logprobs": ['"x"', "-1", "100000"], "top_logprobs": ["-1", "true"],
            "prompt": ["1", "null", "{}", '""', "[]", '["x"]', "[1.5]", "[-1]", "[99999999]", '"' + "word " * 600 + '"', "true"],
            "prompt_ids": ['"x"', "[]", "[1.5]", "[-1]", "[99999999]", "null", "[[1]]", str([1] * 600)],
            "messages": ["[]", "{}", '"x"', "null", json.dumps([{"role": "user", "content": "word " * 600}])],
            "choices": ["[]", '["a"]', '"a"', "[1, 2]", '["a", ""]'], "completion": ['"x"']}.items():
        for value in values:
            prompt = "" if name in ("prompt", "prompt_ids", "messages") else '"prompt": "x", '
            add(name, '{%s"%s": %s}' % (prompt, name, value))
    for message in ('1', '{"content": "x"}', '{"role": 1, "content": "x"}', '{"role": "user", "content": [{"type": "image_url"}]}', '{"role": "user", "content": [1]}'):
        add("messages[0]", '{"messages": [%s]}' % message)
    for line in ('{"n": 2}', "{}", '{"text": "x"}'):
        add("prompt", line)
    add(None, '{"prompt": "x", "messages": [{"role": "user", "content": "x"}]}')
    add("regex", '{"prompt": "x", "choice": ["a"], "regex": "b"}')
    for name in MISSPELT:
        add(name, '{"prompt": "x", "%s": 1}' % name)
    for bad in (b"\xff\xfe", b"\xc3", b"\xe2\x82", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\x80"):
        add("prompt", b'{"prompt": "a' + bad + b'"}')
        add("id", b'{"id": "' + bad + b'", "prompt": "x"}')
        add(None, bad)
    add("line", b'"' + b"x" * (100 << 20) + b'"')
    return cases


class BatchErrors(unittest.TestCase):
    def test_hundreds_of_malformed_lines_give_one_error_each_and_disturb_nothing(self):
        cases = malformed()
        self.assertGreaterEqual(len({line for line, _ in cases}), 300)
        args = ("batch", "-m", SMOLLM2, "-q", "--ids", "-c", "256")
        alone = json_lines(run(*args, input="\n".join(map(json.dumps, GOOD))).stdout)
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder) / "in"
            with open(source, "wb") as file:
                for i, (line, _) in enumerate(cases):
                    file.write(line + b"\n")
                    if i % 10 == 0:
                        file.write(json.dumps({**GOOD[i // 10 % 3], "seed": 5}).encode() + b"\n")
            done = run(*args, "-i", source, timeout=300)
        self.assertEqual(done.returncode, 3, done.stderr)
        results = json_lines(done.stdout)
        self.assertEqual([r["index"] for r in results], list(range(len(cases) + (len(cases) + 9) // 10)))
        seeded = json_lines(run(*args, input="\n".join(json.dumps({**g, "seed": 5}) for g in GOOD)).stdout)
        self.assertEqual([r["id"] for r in alone], [r["id"] for r in seeded])
        at = 0
        for i, (line, field) in enumerate(cases):
            with self.subTest(line[:80]):
                error = results[at]["error"]
                self.assertEqual(set(error), {"code", "field", "message"})
                self.assertTrue(error["field"], error)
                self.assertTrue(error["message"])
                self.assertNotIn("\n", error["message"])
                self.assertLess(len(error["message"]), 500)
                if field is not None:
                    self.assertTrue(error["field"].startswith(field), error)
                    self.assertNotIn("finish_reason", results[at])
            at += 1
            if i % 10 == 0:
                expected = {**seeded[i // 10 % 3], "index": at}
                self.assertEqual(results[at], expected)
                at += 1

    def test_own_fields_stand_beside_an_error(self):
        result = json_lines(run("batch", "-m", VALID, "-q", input='{"id": 7, "mine": [1], "prompt_ids": [1], "temp": "x"}').stdout)[0]
        self.assertEqual((result["id"], result["mine"]), (7, [1]))

    def test_plain_lines_take_any_bytes(self):
        done = run("batch", "-m", SMOLLM2, "-q", "--lines", "-n", "2", "--temp", "0", input=b"caf\xc3\xa9 \xff\xfe\r\n\r\n \n\xef\xbb\xbfx\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([r["index"] for r in json_lines(done.stdout)], [0, 1])

    def test_a_sequence_that_the_pool_cannot_hold_is_one_error(self):
        lines = [{"prompt_ids": [1] * 40, "n": 2}, {"prompt_ids": [1], "n": 2}]
        done = run("batch", "-m", SMOLLM2, "-q", "-c", "4096", "--kv-memory", "8M", "--ids", input="\n".join(
            json.dumps(x) for x in ({"prompt_ids": [1] * 3000, "n": 2}, *lines)))
        self.assertEqual(done.returncode, 3, done.stderr)
        results = json_lines(done.stdout)
        self.assertIn("memory", results[0]["error"]["message"])
        self.assertEqual(results[0]["error"]["field"], "prompt_ids")
        self.assertEqual([len(r["ids"]) for r in results[1:]], [2, 2])


if __name__ == "__main__":
    llmgen.main()
