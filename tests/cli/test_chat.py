"""A conversation over a pseudo-terminal, as a person has it."""
import json
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import tempfile
import time
import unittest

import llmgen
from llmgen import PROGRAM, SMOLLM2


class Terminal:
    """llmgen chat on a pseudo-terminal."""

    def __init__(self, folder, *args, context=1024):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen([PROGRAM, "chat", "-m", str(SMOLLM2), "-c", str(context), "--temp", "0", *args], stdin=slave, stdout=slave,
                                        stderr=slave, cwd=folder, env=llmgen.environment(HOME=str(folder), TERM="dumb"), start_new_session=True)
        os.close(slave)
        self.seen = ""

    def read(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([self.master], [], [], 0.05)[0]:
                try:
                    data = os.read(self.master, 65536)
                except OSError:
                    break
                if not data:
                    break
                self.seen += data.decode(errors="replace")

    def wait_for(self, pattern, seconds=60):
        end = time.monotonic() + seconds
        while not re.search(pattern, self.seen, flags=re.S):
            if time.monotonic() > end:
                raise AssertionError(f"no {pattern!r} in: {self.seen!r}")
            self.read(0.1)
        found, self.seen = self.seen, ""
        return found

    def type(self, text):
        os.write(self.master, text.encode())

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)


PROMPT = r"> $"


class Chat(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def open(self, *args, **kwargs):
        terminal = Terminal(self.folder.name, *args, **kwargs)
        self.addCleanup(terminal.close)
        terminal.wait_for(PROMPT)
        return terminal

    def test_two_turns_stop_save_load_exit(self):
        path = pathlib.Path(self.folder.name) / "talk.json"
        chat = self.open("-n", "24")
        chat.type("My name is Ada.\r")
        chat.wait_for(r"\w+.*\n.*> $")
        chat.type("What did I say?\r")
        chat.wait_for(r"\w+.*\n.*> $")
        chat.type("/stats\r")
        stats = chat.wait_for(r"kept from before.*> $")
        self.assertGreater(int(re.search(r"(\d+) of them kept", stats).group(1)), 20)
        chat.type(f"/save {path}\r")
        chat.wait_for(r"saved 4 messages.*> $")
        saved = json.loads(path.read_text())
        self.assertEqual([m["role"] for m in saved["messages"]], ["user", "assistant"] * 2)
        chat.type("/reset\r")
        chat.wait_for(r"forgotten.*> $")
        chat.type(f"/load {path}\r")
        chat.wait_for(r"loaded 4 messages.*> $")
        chat.type("/exit\r")
        self.assertEqual(chat.process.wait(timeout=20), 0)
        answer = llmgen.run("batch", "-m", SMOLLM2, "-n", "4", "-q", input=json.dumps(saved)).stdout
        self.assertIn("text", json.loads(answer))

    def test_ctrl_c_stops_the_answer_and_not_the_program(self):
        chat = self.open("-n", "4000", "--ignore-eos")
        chat.type("Tell me a very long story.\r")
        chat.wait_for(r"story\.\r?\n.{20}")
        os.killpg(chat.process.pid, signal.SIGINT)
        chat.wait_for(r"\(stopped\).*> $")
        self.assertIsNone(chat.process.poll())
        chat.type("/nonsense\r")
        chat.wait_for(r"no command.*> $")
        chat.type("\x04")
        self.assertEqual(chat.process.wait(timeout=20), 0)

    def test_full_context_is_said_and_the_system_message_stays(self):
        chat = self.open("-n", "60", "--ignore-eos", "--system", "You are a pirate.", context=256)
        for _ in range(5):
            chat.type("Tell me something about the sea.\r")
            seen = chat.wait_for(r"\(cut.*> $")
            if "forgot the oldest" in seen:
                break
        else:
            self.fail("nothing was said about the full context")
        chat.type("/system\r")
        chat.wait_for(r"You are a pirate\..*> $")

    def messages(self, chat):
        path = pathlib.Path(self.folder.name) / "now.json"
        chat.type(f"/save {path}\r")
        chat.wait_for(r"saved.*> $")
        return [(m["role"], m["content"]) for m in json.loads(path.read_text())["messages"]]

    def test_question_can_be_edited_and_answered_again(self):
        chat = self.open("-n", "6", "--system", "Be brief.")
        chat.type("Say one.\r")
        chat.wait_for(r"\(cut.*> $|\n> $")
        chat.type("/edit\r")
        chat.wait_for(r"> Say one\.$")
        chat.type(" And two.\r")
        chat.wait_for(r"\(cut.*> $|\n> $")
        self.assertEqual(self.messages(chat)[:2], [("system", "Be brief."), ("user", "Say one. And two.")])
        first = self.messages(chat)
        chat.type("/params temp=0.9\r")
        chat.wait_for(r"temp=0\.9.*> $")
        chat.type("/regen\r")
        chat.wait_for(r"\(cut.*> $|\n> $")
        again = self.messages(chat)
        self.assertEqual([m[0] for m in again], ["system", "user", "assistant"])
        self.assertEqual(again[:2], first[:2])

    def test_question_of_several_lines_is_edited_line_by_line(self):
        chat = self.open("-n", "4")
        chat.type('"""first\r')
        chat.wait_for(r"\. $")
        chat.type('second"""\r')
        chat.wait_for(r"\(cut.*> $|\n> $")
        chat.type("/edit\r")
        chat.wait_for(r'> """first$')
        chat.type(" line\r")
        chat.wait_for(r'\. second"""$')
        chat.type("\r")
        chat.wait_for(r"\(cut.*> $|\n> $")
        self.assertEqual(self.messages(chat)[0], ("user", "first line\nsecond"))
        chat.type("joined \\\r")
        chat.wait_for(r"\. $")
        chat.type("lines\r")
        chat.wait_for(r"\(cut.*> $|\n> $")
        self.assertEqual(self.messages(chat)[2], ("user", "joined \nlines"))

    def test_ctrl_c_forgets_the_line_and_other_alphabets_are_typed_as_they_are(self):
        chat = self.open("-n", "4")
        chat.type("half a lin")
        chat.wait_for(r"half a lin$")
        os.killpg(chat.process.pid, signal.SIGINT)
        chat.wait_for(r"\n> $")
        chat.type("Grüße, 日本\r")
        chat.wait_for(r"\(cut.*> $|\n> $")
        self.assertEqual(self.messages(chat)[0], ("user", "Grüße, 日本"))

    def test_parameters_are_checked_and_shown(self):
        chat = self.open()
        for typed, said in [("/params top_k=7", r"top_k=7.*> $"), ("/params top_k=1.5", r"whole number.*> $"), ("/params n=1e99", r"whole number.*> $"),
                            ("/params temp=-1", r"temperature.*> $"), ("/params temp=nan", r"temperature.*> $"), ("/params nothing=1", r"none of.*> $"),
                            ("/params temp", r"a number.*> $"), ("/edit", r"no question.*> $"), ("/regen", r"no question.*> $"),
                            ("/load /nothing/there", r"/nothing/there.*> $"), ("/save", r"needs a file name.*> $"), ("/help", r"Ctrl-C stops.*> $"), ("/params", r"top_k=7.*> $")]:
            chat.type(typed + "\r")
            chat.wait_for(said)
        chat.type("/quit\r")
        self.assertEqual(chat.process.wait(timeout=20), 0)

    def test_failure_in_a_pipe_is_an_exit_code(self):
        done = llmgen.run("chat", "-m", SMOLLM2, "-q", "--temp", "0", "-n", "8", "-c", "64", input="word " * 500 + "\n")
        self.assertEqual(done.returncode, 7, done.stderr)
        self.assertEqual(llmgen.run("chat", "-m", SMOLLM2, "-q", input="/nonsense\n").returncode, 2)

    def test_lines_from_a_pipe_are_answered_in_turn(self):
        done = llmgen.run("chat", "-m", SMOLLM2, "-q", "--temp", "0", "-n", "8", input="Say hello.\nSay bye.\n")
        self.assertEqual(done.returncode, 0)
        self.assertGreaterEqual(len(done.stdout.splitlines()), 2)


if __name__ == "__main__":
    llmgen.main()
