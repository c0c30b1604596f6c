#!/usr/bin/env python3
"""Compares JSON-schema constraints with the validator of Python's `jsonschema` on random schemas.

Both ways: every text that a random walk through the constraint generates must be JSON that validates, and every value
that validates must be accepted, written compactly, with spaces and indented. Schemas that the constraint refuses are
counted. Needs the package `jsonschema` and a finished build folder.

  cross_check.py --build build/release [--schemas 10000] [--values 1000] [--generate 20] [--seed 1] [--jobs 2]
"""

import argparse
import json
import multiprocessing
import pathlib
import random
import re
import subprocess
import sys
import time

import jsonschema

# Patterns mean what ECMA-262 says: "$" is the very end, where Python also takes a line end before it.
def ecma(pattern):
    return re.sub(r"(?<!\\)\$", r"\\Z", pattern)


def check_pattern(validator, pattern, instance, schema):
    if validator.is_type(instance, "string") and not re.search(ecma(pattern), instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")


Validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": check_pattern})

ROOT = pathlib.Path(__file__).resolve().parents[3]
NAMES = ["a", "b", "foo", "bar", "é", "x\"y"]
PATTERNS = ["^a", "b$", "^[a-c]+$", "^[0-9]{2,3}$", "a|b", "^(ab)*$", "^.{2}$", "é", "^\\d+(\\.\\d+)?$", "[^a]"]
STRINGS = ["", "a", "b", "ab", "abc", "foo", "é", "日本", "\n", "\"", "\\", "12", "123", "1.5", "x/y", "😀", "abab", " "]
SCALARS = [None, True, False, 0, 1, -1, 2, 3, 7, 10, 1.5, -0.5, 0.1, 2.0, 1e-7, 100, 12345678901234567890, 1e20]


def random_value(rng, depth=0):
    kind = rng.random()
    if depth > 2 or kind < 0.35:
        return rng.choice(SCALARS) if rng.random() < 0.7 else rng.choice([rng.randint(-50, 50), round(rng.uniform(-20, 20), rng.randint(0, 3)), rng.uniform(-1e3, 1e3)])
    if kind < 0.6:
        return rng.choice(STRINGS) if rng.random() < 0.6 else "".join(rng.choice("abc0é") for _ in range(rng.randint(0, 6)))
    if kind < 0.8:
        return [random_value(rng, depth + 1) for _ in range(rng.randint(0, 4))]
    names = rng.sample(NAMES, rng.randint(0, 4))
    return {name: random_value(rng, depth + 1) for name in names}


def random_schema(rng, depth=0, refs=True):
    kind = rng.random()
    if kind < 0.04:
        return rng.choice([True, True, False]) if depth else True
    if kind < 0.1:
        return {"const": random_value(rng, 1)}
    if kind < 0.18:
        return {"enum": [random_value(rng, 1) for _ in range(rng.randint(1, 4))]}
    if kind < 0.22 and refs:
        return {"$ref": "#/$defs/d" + str(rng.randint(0, 1))}
    if depth < 2 and kind < 0.3:
        return {"anyOf": [random_schema(rng, depth + 1, refs) for _ in range(rng.randint(1, 3))]}
    if depth < 2 and kind < 0.35:
        return {"allOf": [random_schema(rng, depth + 1, refs) for _ in range(rng.randint(1, 2))]}
    if depth < 2 and kind < 0.39:
        return {"oneOf": [random_schema(rng, depth + 1, refs) for _ in range(rng.randint(1, 2))]}
    schema = {}
    types = ["null", "boolean", "integer", "number", "string", "array", "object"]
    if rng.random() < 0.85:
        schema["type"] = rng.choice(types) if rng.random() < 0.8 else rng.sample(types, 2)
    wanted = schema.get("type", types)
    wanted = [wanted] if isinstance(wanted, str) else wanted
    some = lambda p=0.4: rng.random() < p
    if "integer" in wanted or "number" in wanted:
        if some():
            schema["minimum"] = rng.choice([rng.randint(-20, 20), 0.5, -1.25, 0])
        if some():
            schema["maximum"] = rng.choice([rng.randint(-10, 40), 10.5, 0])
        if some(0.15):
            schema["exclusiveMinimum"] = rng.choice([rng.randint(-10, 10), 0])
        if some(0.15):
            schema["exclusiveMaximum"] = rng.choice([rng.randint(-10, 30), 1.5])
        if some(0.2):
            schema["multipleOf"] = rng.choice([1, 2, 3, 5, 7, 0.5, 10, 0.25])
    if "string" in wanted:
        if some():
            schema["minLength"] = rng.randint(0, 3)
        if some():
            schema["maxLength"] = rng.randint(0, 6)
        if some(0.3):
            schema["pattern"] = rng.choice(PATTERNS)
    if "array" in wanted and depth < 3:
        if some(0.5):
            schema["items"] = random_schema(rng, depth + 1, refs)
        if some(0.25):
            schema["prefixItems"] = [random_schema(rng, depth + 1, refs) for _ in range(rng.randint(1, 2))]
        if some(0.3):
            schema["minItems"] = rng.randint(0, 2)
        if some(0.3):
            schema["maxItems"] = rng.randint(0, 4)
    if "object" in wanted and depth < 3:
        if some(0.7):
            schema["properties"] = {n: random_schema(rng, depth + 1, refs) for n in rng.sample(NAMES, rng.randint(1, 3))}
        if some(0.5):
            schema["required"] = rng.sample(NAMES, rng.randint(1, 2))
        if some(0.4):
            schema["additionalProperties"] = False if some(0.6) else random_schema(rng, depth + 1, refs)
        if some(0.15):
            schema["patternProperties"] = {rng.choice(PATTERNS): random_schema(rng, depth + 1, refs)}
        if some(0.15):
            schema["minProperties"] = rng.randint(0, 3)
        if some(0.15):
            schema["maxProperties"] = rng.randint(0, 4)
    return schema


def whole_schema(rng):
    schema = random_schema(rng)
    if isinstance(schema, bool):
        return schema
    schema = dict(schema)
    schema["$defs"] = {"d0": random_schema(rng, 1, False), "d1": random_schema(rng, 1)}
    return schema


def sample_for(schema, root, rng, depth=0):
    """A value that is likely to satisfy the schema."""
    if not isinstance(schema, dict) or depth > 6:
        return random_value(rng, 2)
    if "$ref" in schema:
        return sample_for(root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root, rng, depth + 1)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return rng.choice(schema["enum"])
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return sample_for(rng.choice(schema[key]), root, rng, depth + 1)
    kinds = schema.get("type", ["null", "boolean", "integer", "number", "string", "array", "object"])
    kind = kinds if isinstance(kinds, str) else rng.choice(kinds)
    if kind == "null":
        return None
    if kind == "boolean":
        return rng.random() < 0.5
    if kind in ("integer", "number"):
        low = schema.get("minimum", schema.get("exclusiveMinimum", -30))
        high = schema.get("maximum", schema.get("exclusiveMaximum", 40))
        step = schema.get("multipleOf", 1 if kind == "integer" or rng.random() < 0.4 else None)
        value = rng.uniform(low, high) if rng.random() < 0.85 else rng.choice([low, high, 0])
        if step:
            value = round(value / step) * step
            return int(value) if value == int(value) and rng.random() < 0.9 else value
        return round(value, rng.randint(0, 6)) if rng.random() < 0.7 else value
    if kind == "string":
        pattern = schema.get("pattern")
        alphabet = "0123456789." if pattern and ("\\d" in pattern or "0-9" in pattern) else "abcé\"\n\\ 0x😀"
        n = rng.randint(schema.get("minLength", 0), max(schema.get("maxLength", 8), schema.get("minLength", 0)))
        return "".join(rng.choice(alphabet[:3] if rng.random() < 0.5 else alphabet) for _ in range(n))
    if kind == "array":
        prefix = schema.get("prefixItems", [])
        n = rng.randint(schema.get("minItems", 0), max(schema.get("maxItems", 3), schema.get("minItems", 0)))
        return [sample_for(prefix[i] if i < len(prefix) else schema.get("items", True), root, rng, depth + 1) for i in range(n)]
    properties = schema.get("properties", {})
    names = set(schema.get("required", [])) | {n for n in properties if rng.random() < 0.5}
    if schema.get("additionalProperties") is not False and rng.random() < 0.4:
        names.add(rng.choice(NAMES + ["extra", ""]))
    names = list(names)
    rng.shuffle(names)
    patterns = schema.get("patternProperties", {})
    def of(name):
        if name in properties:
            return properties[name]
        for pattern, sub in patterns.items():
            if re.search(pattern, name):
                return sub
        return schema.get("additionalProperties", True)
    return {name: sample_for(of(name), root, rng, depth + 1) for name in names}


def build_probe(build):
    probe = build / "constraint_probe"
    source = pathlib.Path(__file__).parent / "probe" / "probe.cpp"
    library = build / "src" / "libllm.a"
    if not probe.exists() or probe.stat().st_mtime < max(source.stat().st_mtime, library.stat().st_mtime):
        rooms = [f"-I{build}/rooms/{room}" for room in ("sampling", "base")]
        subprocess.run(["c++", "-std=c++20", "-O2", "-DLLM_STATIC", f"-I{ROOT}/include", *rooms, str(source), str(library),
                        "-fopenmp", "-lfmt", "-lutf8proc", "-o", str(probe)], check=True)
    return probe


class Probe:
    def __init__(self, path):
        self.process = subprocess.Popen([str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, **question):
        self.process.stdin.write(json.dumps(question).encode() + b"\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def plain(value):
    """Whole numbers are written without an exponent."""
    if isinstance(value, float) and value == int(value) and abs(value) >= 1e16:
        return int(value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    return {name: plain(item) for name, item in value.items()} if isinstance(value, dict) else value


def writings(value):
    value = plain(value)
    yield json.dumps(value, separators=(",", ":"))
    yield json.dumps(value)
    yield json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    yield json.dumps(value, indent=2, ensure_ascii=False)


def check_schema(index, probe, args):
    """One random schema: (counts, reason of a refusal or None, disagreements)."""
    rng = random.Random(args.seed * 1_000_003 + index)
    schema = whole_schema(rng)
    validator = Validator(schema)
    values = {}  # by their text: many samples of a small schema are the same
    for _ in range(args.values):
        value = sample_for(schema, schema, rng) if rng.random() < 0.8 else random_value(rng)
        values.setdefault(json.dumps(value), [value, 0])[1] += 1
    texts, valid, samples = [], [], []
    n_invalid = 0
    for value, count in values.values():
        try:
            ok = validator.is_valid(value)
        except RecursionError:
            break
        if ok:
            written = list(writings(value)) if args.values <= 50 else [rng.choice(list(writings(value)))]
        else:
            n_invalid += 1
            written = [json.dumps(value)] if n_invalid <= 20 + args.values // 10 else []
        texts += written
        valid += [ok] * len(written)
        samples += [count if ok else 1] * len(written)
    answer = probe.ask(schema=schema, texts=texts, n=args.generate, seed=index)
    counts = dict.fromkeys(("valid", "distinct", "invalid", "generated", "cut"), 0)
    wrong = []
    if "error" in answer:
        reason = re.sub(r"#[^:]*", "#...", answer["error"])
        if "no value satisfies" in reason and any(valid):
            wrong.append(("WRONGLY UNSATISFIABLE", schema, texts[valid.index(True)]))
        return counts, reason, wrong
    for text, expected, count, accepted in zip(texts, valid, samples, answer["accepted"]):
        counts["valid"] += count if expected else 0
        counts["distinct"] += expected
        counts["invalid"] += not expected
        if expected != accepted:
            wrong.append(("REFUSED VALID" if expected else "ACCEPTED INVALID", schema, text))
    counts["cut"] = answer["cut"]
    counts["generated"] = len(answer["generated"])
    for text in dict.fromkeys(answer["generated"]):
        try:
            if not validator.is_valid(json.loads(text)):
                wrong.append(("GENERATED INVALID", schema, text))
        except (ValueError, RecursionError) as error:
            wrong.append((f"GENERATED NO JSON ({error})", schema, text))
    return counts, None, wrong


def start_worker(path, args):
    global worker
    worker = Probe(path), args


def check_in_worker(index):
    return check_schema(index, *worker)


def random_schemas(path, args):
    refused, totals, bad, began = {}, {}, 0, time.monotonic()
    with multiprocessing.Pool(args.jobs, start_worker, (path, args)) as pool:
        for done, (counts, reason, wrong) in enumerate(pool.imap(check_in_worker, range(args.schemas), chunksize=4), 1):
            for name, count in counts.items():
                totals[name] = totals.get(name, 0) + count
            if reason:
                refused[reason] = refused.get(reason, 0) + 1
            for what, schema, text in wrong:
                print(what, json.dumps(schema), text)
            bad += len(wrong)
            if sys.stderr.isatty() and done % 20 == 0:
                print(f"\r{done} of {args.schemas}", end="", file=sys.stderr)
            if bad > 40:
                break
    print(f"{args.schemas} schemas (seed {args.seed}) in {time.monotonic() - began:.0f} s: {totals['valid']} valid samples "
          f"({totals['distinct']} distinct texts) tried, {totals['invalid']} invalid texts tried, {totals['generated']} answers "
          f"generated, {totals['cut']} cut, {bad} disagreements; refused {sum(refused.values())}:")
    for reason, count in sorted(refused.items(), key=lambda item: -item[1]):
        print(f"  {count:6} {reason}")
    return bad


def test_suite(probe, folder):
    """The public JSON-Schema-Test-Suite: what is not refused must agree."""
    n_agree, n_refused, bad = 0, {}, 0
    for path in sorted(folder.glob("*.json")):
        for group in json.loads(path.read_text()):
            texts = [json.dumps(test["data"]) for test in group["tests"]]
            answer = probe.ask(schema=group["schema"], texts=texts)
            if "error" in answer:
                if "no value satisfies" in answer["error"]:
                    answer = {"accepted": [False] * len(texts)}
                else:
                    n_refused[path.stem] = n_refused.get(path.stem, 0) + len(texts)
                    continue
            for test, accepted in zip(group["tests"], answer["accepted"]):
                if accepted == test["valid"]:
                    n_agree += 1
                else:
                    bad += 1
                    print(f"{path.stem}: {group['description']}: {test['description']}: accepted {accepted}", json.dumps(group["schema"]), json.dumps(test["data"]))
    print(f"test suite {folder}: {n_agree} agree, {bad} differ, refused: {sum(n_refused.values())} {n_refused}")
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--schemas", type=int, default=10000)
    parser.add_argument("--values", type=int, default=20)
    parser.add_argument("--generate", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--suite", type=pathlib.Path, action="append", default=[])
    args = parser.parse_args()
    probe = Probe(build_probe(args.build))
    bad = sum(test_suite(probe, folder) for folder in args.suite)
    if args.schemas:
        bad += random_schemas(build_probe(args.build), args)
    sys.exit(bad != 0)


if __name__ == "__main__":
    main()
