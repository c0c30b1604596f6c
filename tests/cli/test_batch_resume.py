"""llmgen batch --resume: runs that were killed or interrupted at any moment end like the uninterrupted one."""
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
from llmgen import PROGRAM, VALID, json_lines

N_KILLS = 20


def lines(n, tokens):
    """Lines of all kinds: with ids, twice the same, failing, blank."""
    rng = random.Random(5)
    made = []
    for i in range(n):
        line = {"id": f"r{i}", "prompt_ids": [rng.randrange(16) for _ in range(rng.randrange(1, 9))], "n": tokens, "ignore_eos": True}
        if i % 11 == 3:
            line["temp"] = "hot"
        made.append(made[-1] if i % 7 == 6 else json.dumps(line))
        if i % 13 == 0:
            made.append("")
        if i % 17 == 5:
            made.append('{"prompt_ids": [1, ')
    return "\n".join(made) + "\n"


class Resume(unittest.TestCase):
    def piped(self, folder, name, *args):
        return [PROGRAM, "batch", "-m", str(VALID), "-q", "-o", str(folder / name), "--ids", "--temp", "1", *args]

    def command(self, folder, name, *args):
        return self.piped(folder, name, "-i", str(folder / "in"), *args)

    def finish(self, command):
        return subprocess.run(command, env=llmgen.environment(), timeout=300).returncode

    def kill_and_resume(self, *args, seed, tail=b""):
        """Outputs of an uninterrupted run and of one that was killed N_KILLS times; how many lines each kill left.

        A killed run reads a pipe that stays open and holds a part of the lines, so that none can come to its end before it is killed."""
        rng = random.Random(seed)
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            text = lines(700, tokens=48)
            (folder / "in").write_text(text)
            self.assertEqual(self.finish(self.command(folder, "whole", *args)), 3)
            source = text.encode().splitlines(keepends=True)
            left = []
            out = folder / "out"
            for i in range(N_KILLS):
                first = b"".join(source[: len(source) * (i + 1) // (N_KILLS + 1)])
                before = out.stat().st_size if out.exists() else 0
                with subprocess.Popen(self.piped(folder, "out", "--resume", *args), stdin=subprocess.PIPE, env=llmgen.environment()) as process:
                    process.stdin.write(first)
                    process.stdin.flush()
                    # The first at any moment, perhaps before there is anything; the others when there is more than before.
                    while i > 0 and (not out.exists() or out.stat().st_size <= before):
                        self.assertIsNone(process.poll())
                        time.sleep(0.001)
                    time.sleep(rng.uniform(0, 0.02))
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                data = out.read_bytes() if out.exists() else b""
                left.append(data.count(b"\n"))
                if tail and rng.random() < 0.5 and out.exists():
                    with open(out, "ab") as file:
                        file.write(tail[: rng.randrange(1, len(tail))])
            self.assertEqual(self.finish(self.command(folder, "out", "--resume", *args)), 3)
            return (folder / "whole").read_bytes(), out.read_bytes(), left

    def test_killed_runs_end_like_the_uninterrupted_one(self):
        whole, resumed, left = self.kill_and_resume(seed=11, tail=b'{"index":7,"id":"torn","text":"x"')
        self.assertEqual(resumed, whole)
        self.assertGreater(len(set(left)), N_KILLS // 2, left)

    def test_killed_runs_without_order_answer_every_line_once(self):
        whole, resumed, left = self.kill_and_resume("--unordered", seed=12, tail=b'{"index":70,"id":"torn","text":"x"')
        self.assertEqual(sorted(resumed.splitlines()), sorted(whole.splitlines()))
        self.assertGreater(len(set(left)), N_KILLS // 2, left)

    def test_a_run_without_order_can_be_resumed_in_order_and_the_other_way_round(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "in").write_text(lines(60, tokens=4))
            self.finish(self.command(folder, "whole"))
            whole = (folder / "whole").read_bytes().splitlines(keepends=True)
            for args in ((), ("--unordered",)):
                (folder / "out").write_bytes(b"".join(whole[1::3]))
                self.assertEqual(self.finish(self.command(folder, "out", "--resume", *args)), 3)
                self.assertEqual(sorted((folder / "out").read_bytes().splitlines(keepends=True)), sorted(whole))

    def test_a_finished_run_stays_as_it_is_and_still_says_that_lines_failed(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "in").write_text(lines(30, tokens=2))
            self.assertEqual(self.finish(self.command(folder, "out")), 3)
            before = (folder / "out").read_bytes()
            self.assertEqual(self.finish(self.command(folder, "out", "--resume")), 3)
            self.assertEqual((folder / "out").read_bytes(), before)

    def test_shards_are_resumed_too(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "in").write_text(lines(60, tokens=4))
            self.finish(self.command(folder, "whole", "--shard", "2/2"))
            whole = (folder / "whole").read_bytes()
            (folder / "out").write_bytes(b"".join(whole.splitlines(keepends=True)[:9]))
            self.finish(self.command(folder, "out", "--shard", "2/2", "--resume"))
            self.assertEqual((folder / "out").read_bytes(), whole)

    def test_what_is_no_result_is_not_built_upon(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "in").write_text(lines(5, tokens=2))
            for content in ("notes of mine\n", '{"index":"x"}\n', '{"a":1}\n', '{"index":0\n'):
                (folder / "out").write_text(content)
                self.assertEqual(self.finish(self.command(folder, "out", "--resume")), 4)
                self.assertEqual((folder / "out").read_text(), content)

    def test_an_interrupted_run_keeps_what_it_has_and_goes_on(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "in").write_text(lines(8000, tokens=60))
            command = [x for x in self.command(folder, "out") if x != "-q"]
            process = subprocess.Popen(command, env=llmgen.environment(), stderr=subprocess.PIPE)
            while not (folder / "out").exists() or (folder / "out").stat().st_size < 1000:
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
            self.assertEqual(process.returncode, 130, err)
            self.assertIn(b"--resume", err)
            kept = (folder / "out").read_bytes()
            self.assertTrue(kept.endswith(b"\n"))
            n_kept = len(json_lines(kept))
            self.assertGreater(n_kept, 0)
            self.assertEqual([r["index"] for r in json_lines(kept)], list(range(n_kept)))
            self.assertIn(f"interrupted after {n_kept} lines".encode(), err)

    def test_two_runs_do_not_write_into_one_file(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            command = [PROGRAM, "batch", "-m", str(VALID), "-q", "-o", str(folder / "out")]
            first = subprocess.Popen(command, stdin=subprocess.PIPE, env=llmgen.environment())
            first.stdin.write(b'{"prompt_ids": [1], "n": 1}\n')
            first.stdin.flush()
            while not (folder / "out").exists() or (folder / "out").stat().st_size == 0:
                self.assertIsNone(first.poll())
                time.sleep(0.01)
            second = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=llmgen.environment(), timeout=60)
            self.assertEqual(second.returncode, 4)
            self.assertIn(b"another llmgen batch", second.stderr)
            first.stdin.close()
            self.assertEqual(first.wait(timeout=60), 0)


if __name__ == "__main__":
    llmgen.main()
