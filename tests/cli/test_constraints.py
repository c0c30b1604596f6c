"""Answers that must belong to a language: each kind of constraint on a real model, alone and beside what else there is."""
import json
import pathlib
import re
import tempfile
import unittest

import llmgen
from llmgen import SMOLLM2, run, run_json

SCHEMA = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer", "minimum": 0, "maximum": 120},
                                           "tags": {"type": "array", "items": {"enum": ["red", "green"]}, "maxItems": 2}},
          "required": ["name", "age", "tags"], "additionalProperties": False}


def fits(value):
    return (set(value) == {"name", "age", "tags"} and len(value["name"]) <= 20 and 0 <= value["age"] <= 120 and len(value["tags"]) <= 2
            and all(tag in ("red", "green") for tag in value["tags"]))


class Constraints(unittest.TestCase):
    def answer(self, *args, n=200):
        return run_json("-m", SMOLLM2, "--chat", "-p", "Describe a person as JSON.", "-n", n, "--json", "-s", "5", *args)

    def test_schema_is_kept_at_every_temperature(self):
        for temperature in ("0", "0.8", "1.5"):
            answer = self.answer("--json-schema", json.dumps(SCHEMA), "--temp", temperature)
            self.assertEqual(answer["finish_reason"], "stop", answer["text"])
            self.assertTrue(fits(json.loads(answer["text"])), answer["text"])

    def test_other_kinds_and_a_cut_answer(self):
        self.assertIn(self.answer("--choice", "red,green,blue")["text"], ("red", "green", "blue"))
        self.assertRegex(self.answer("--regex", "[A-Z][a-z]{2,8} [0-9]{3}")["text"], r"\A[A-Z][a-z]{2,8} [0-9]{3}\Z")
        with tempfile.TemporaryDirectory() as folder:
            grammar = pathlib.Path(folder) / "sum.gbnf"
            grammar.write_text('root ::= number ("+" number)+\nnumber ::= [1-9] [0-9]?\n')
            answer = self.answer("--grammar", grammar, n=12)
            self.assertTrue(re.fullmatch(r"[1-9][0-9]?(\+[1-9][0-9]?)+", answer["text"]) or answer["finish_reason"] == "length", answer["text"])
        cut = self.answer("--regex", "[a-z]{60}", n=3)
        self.assertEqual(cut["finish_reason"], "length")

    def test_guesses_give_the_same_answer(self):
        plain = self.answer("--json-schema", json.dumps(SCHEMA), "--temp", "0.7")
        guessed = self.answer("--json-schema", json.dumps(SCHEMA), "--temp", "0.7", "--lookup", "8")
        self.assertEqual(guessed["ids"], plain["ids"])

    def test_every_beam_keeps_the_schema(self):
        answer = self.answer("--json-schema", json.dumps(SCHEMA), "--temp", "0", "--beams", "3")
        self.assertGreaterEqual(len(answer["beams"]), 1)
        for beam in answer["beams"]:
            self.assertEqual(beam["finish_reason"], "stop", beam["text"])
            self.assertTrue(fits(json.loads(beam["text"])), beam["text"])
        self.assertEqual(answer["text"], answer["beams"][0]["text"])
        scores = [beam["score"] for beam in answer["beams"]]
        self.assertEqual(scores, sorted(scores, reverse=True))

    def test_every_line_of_a_batch_has_its_own(self):
        lines = [{"prompt": "A colour:", "choice": ["red", "green"]}, {"prompt": "A year:", "regex": "[12][0-9]{3}"}, {"prompt": "Data:", "json_schema": SCHEMA}]
        done = run("batch", "-m", SMOLLM2, "-n", "200", "-q", "-s", "3", input="".join(json.dumps(line) + "\n" for line in lines))
        texts = [json.loads(line)["text"] for line in done.stdout.splitlines()]
        self.assertIn(texts[0], ("red", "green"))
        self.assertRegex(texts[1], r"\A[12][0-9]{3}\Z")
        self.assertTrue(fits(json.loads(texts[2])), texts[2])

    def test_mistakes_are_told_before_the_model_is_loaded(self):
        for args, said in [(("--json-schema", '{"type": "strin"}'), "JSON type"), (("--regex", "(a"), "column"), (("--grammar", "/nothing/there"), "/nothing/there"),
                           (("--json-schema", '{"minimum": 1e400}'), "1.8e308")]:
            done = run("-m", "/no/model", "-p", "x", *args)
            self.assertIn(done.returncode, (2, 4))
            self.assertIn(said, done.stderr.decode())
            self.assertEqual(len(done.stderr.decode().strip().splitlines()), 1)


if __name__ == "__main__":
    llmgen.main()
