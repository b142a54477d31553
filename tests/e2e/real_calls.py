#!/usr/bin/env python3
"""Calls on real weights: parley-server with the bundle parley-small, parley-call with recordings.

  real_calls.py --server BINARY --client BINARY --model BUNDLE [unittest arguments]
"""

import argparse
import array
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import unittest
import wave

from harness import SAMPLE, SOURCE, Client, Server, parse_events

RECORDINGS = SOURCE / "tests/e2e/recordings"  # by make_recordings
CASES = SOURCE / "tests/reference/cases"
BINARIES = None


class RealCalls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(BINARIES.server, "--model", BINARIES.model)

    @classmethod
    def tearDownClass(cls):
        code = cls.server.stop()
        assert code == 0, f"the server ended with {code}:\n{cls.server.read_log()}"

    def call(self, *arguments):
        return Client(BINARIES.client, self.server, *arguments)

    def events_of(self, client):
        code, out, err = client.finish()
        self.assertEqual(code, 0, f"parley-call failed: {err}\n{out}\nserver:\n{self.server.read_log()}")
        events = parse_events(out)
        self.assertEqual([int(event["seq"]) for event in events], list(range(1, len(events) + 1)))
        self.assertEqual(events.of("error"), [])
        return events

    def check_sample(self, events):
        transcripts = events.transcripts()
        self.assertEqual(len(transcripts), 2, transcripts)
        self.assertIn("capital of france", transcripts[0].lower())
        self.assertIn("animal do you see", transcripts[1].lower())
        answers = events.answers()
        self.assertEqual(len(answers), 2, answers)
        self.assertIn("Paris", answers[0])
        self.assertIn("cat", answers[1].lower())
        self.assertEqual([done["finish_reason"] for done in events.of("response_done")], ["END_OF_TURN"] * 2)

    def test_the_sample_call_hears_both_questions_and_sees_the_cat(self):
        events = self.events_of(self.call("--json", "--file", SAMPLE))
        self.check_sample(events)
        seen = [status for status in events.of("input_status") if status["outcome"] == "ENCODED"]
        self.assertTrue(any("cat" in status.get("description", "") for status in seen), seen)
        self.assertEqual(len(events.of("metrics")), 2)
        for metrics in events.of("metrics"):
            self.assertGreater(int(metrics["response_latency_us"]), 0)
            self.assertEqual(metrics["speculation"], "HIT")

    def test_what_is_said_is_the_same_without_speculation(self):
        clip = SOURCE / "tests/reference/clips/rms_capital.wav"
        fast, plain = [self.events_of(self.call("--json", "--file", clip, *flags)) for flags in ([], ["--no-speculation"])]
        self.assertEqual(fast.transcripts(), plain.transcripts())
        self.assertEqual(fast.answers(), plain.answers())
        self.assertEqual(len(plain.answers()), 1)
        self.assertNotIn("speculation", plain.of("metrics")[0])

    def test_eight_calls_at_once_all_hear_see_and_answer(self):
        # Without interruption: however slow the machine, the second question waits for the first one's answer.
        clients = [self.call("--json", "--no-interruption", "--file", SAMPLE) for _ in range(8)]
        for client in clients:
            self.check_sample(self.events_of(client))

    def check_recording(self, name, place, answer, thing):
        """A question of knowledge, then one about what is in view."""
        events = self.events_of(self.call("--json", "--file", RECORDINGS / name))
        transcripts = events.transcripts()
        self.assertEqual(len(transcripts), 2, transcripts)
        self.assertIn(f"capital of {place}", transcripts[0].lower())
        self.assertIn("in the picture", transcripts[1].lower())
        answers = events.answers()
        self.assertIn(answer, answers[0])
        self.assertIn(thing, answers[1].lower())
        seen = [status for status in events.of("input_status") if status["outcome"] == "ENCODED"]
        self.assertTrue(any(thing in status["description"] for status in seen), seen)
        for status in seen:
            self.assertIn("age_ms", status)  # parley-call says when it captures

    def test_another_voice_another_picture_and_vp9(self):
        self.check_recording("rms_moped.webm", "italy", "Rome", "moped")

    def test_a_third_voice(self):
        self.check_recording("awb_coffee.mp4", "france", "Paris", "espresso")

    def test_the_same_text_gives_the_same_answer(self):
        question = "What is the capital of France?"
        answers = [self.events_of(self.call("--json", "--text", question)).answers() for _ in range(2)]
        self.assertEqual(answers[0], answers[1])
        self.assertIn("Paris", answers[0][0])

    def test_another_voice_and_raw_pcm(self):
        clip = SOURCE / "tests/reference/clips/rms_capital.wav"
        events = self.events_of(self.call("--json", "--pcm", "--file", clip))
        self.assertIn("capital of france", events.transcripts()[0].lower())
        self.assertIn("Paris", events.answers()[0])

    def test_nothing_is_lost_after_a_word_that_is_said_five_times(self):
        events = self.events_of(self.call("--json", "--file", CASES / "repeated_hello.wav"))
        said = " ".join(events.transcripts()).lower()
        self.assertGreaterEqual(said.count("hello"), 5, said)
        self.assertIn("what is the capital of france", said)

    def test_push_to_talk_over_coughs_hears_no_words(self):
        events = self.events_of(self.call("--json", "--manual", "--file", CASES / "coughs.wav"))
        self.assertEqual(events.transcripts(), [""])
        self.assertEqual(events.answers(), [])

    def events_over_an_answer(self, sound, after_s):
        """A request that is answered at length, and a sound that begins so long after it."""
        def samples_of(path):
            with wave.open(str(path)) as clip:
                return array.array("h", clip.readframes(clip.getnframes()))
        silence = lambda seconds: array.array("h", bytes(2 * int(16000 * seconds)))
        samples = samples_of(CASES / "long_story.wav") + silence(after_s) + samples_of(CASES / sound) + silence(2)
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            with wave.open(file.name, "wb") as recording:
                recording.setparams((1, 2, 16000, 0, "NONE", None))
                recording.writeframes(samples.tobytes())
            # An answer that outlasts the sound, however fast the machine.
            return self.events_of(self.call("--json", "--max-tokens", "1000", "--file", file.name))

    def test_a_listeners_sound_over_the_answer_lets_it_go_on(self):
        for sound, after_s in (("backchannel_mhm.wav", 0.65), ("backchannel_mhm.wav", 1.23),
                               ("backchannel_uh.wav", 0.75)):
            with self.subTest(sound, after_s=after_s):
                events = self.events_over_an_answer(sound, after_s)
                self.assertEqual(len(events.of("speech_started")), 2, "the sound is to be heard")
                self.assertEqual(len(events.of("speech_dismissed")), 1)
                self.assertEqual(events.of("interrupted"), [])
                self.assertEqual(len(events.of("response_done")), 1)
                self.assertIn(events.of("response_done")[0]["finish_reason"], ("END_OF_TURN", "MAX_TOKENS"))
                self.assertEqual(len(events.of("response_paused")), len(events.of("response_resumed")))

    def test_words_over_the_answer_interrupt_it(self):
        events = self.events_over_an_answer("repeated_hello.wav", 0.65)
        self.assertEqual(len(events.of("interrupted")), 1)
        self.assertEqual(events.of("response_done")[0]["finish_reason"], "INTERRUPTED")
        self.assertIn("what is the capital of france", events.transcripts()[-1].lower())

    def test_push_to_talk_hears_quiet_speech(self):
        with wave.open(str(SOURCE / "tests/reference/clips/slt_capital.wav")) as clip:
            samples = array.array("h", clip.readframes(clip.getnframes()))
        loudest = max(map(abs, samples))
        for decibels in (-20, -40):
            with tempfile.NamedTemporaryFile(suffix=".wav") as file:
                scale = 32767 * 10 ** (decibels / 20) / loudest
                with wave.open(file.name, "wb") as quiet:
                    quiet.setparams((1, 2, 16000, 0, "NONE", None))
                    quiet.writeframes(array.array("h", (round(sample * scale) for sample in samples)).tobytes())
                events = self.events_of(self.call("--json", "--manual", "--pcm", "--file", file.name))
            self.assertIn("capital of france", events.transcripts()[0].lower(), f"at {decibels} dB")

    def test_the_terminal_shows_the_dialogue_and_where_the_time_went(self):
        code, out, err = self.call("--timing", "--text", "What is the capital of France?").finish()
        self.assertEqual(code, 0, err)
        self.assertRegex(out, r"parley +.*Paris")
        self.assertRegex(out, r"turn 1: first token \d+ ms after the end of turn was decided")
        self.assertIn("ended properly", out)

    def test_metrics_count_what_happened(self):
        self.events_of(self.call("--json", "--text", "Hello"))
        metrics = self.server.metrics()
        for name in ("parley_", "_bucket", "calls", "turns", "tokens"):
            self.assertIn(name, metrics)

    def test_control_c_hangs_up_properly(self):
        client = self.call("--file", SAMPLE)
        first_line = client.process.stdout.readline()
        client.process.send_signal(signal.SIGINT)
        code, out, err = client.finish()
        self.assertEqual(code, 0, err)
        self.assertIn("ended properly", first_line + out)


class BrokenBundles(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.bundle = pathlib.Path(folder.name) / "bundle"
        # Every file is a link to the real one, until a test puts something else there.
        shutil.copytree(BINARIES.model, self.bundle,
                        copy_function=lambda source, to: os.symlink(os.path.realpath(source), to))

    def replace(self, name, data):
        path = self.bundle / name
        path.unlink()
        if data is not None:
            path.write_bytes(data)

    def refused(self, *words):
        with self.assertRaises(RuntimeError) as caught:
            Server(BINARIES.server, "--model", self.bundle).stop()
        said = str(caught.exception)
        self.assertRegex(said, r"exit code [1-9]")
        for word in words:
            self.assertIn(word, said)

    def test_the_links_are_a_bundle(self):
        self.assertEqual(Server(BINARIES.server, "--model", self.bundle).stop(), 0)

    def test_a_half_copied_file_is_named(self):
        weights = pathlib.Path(BINARIES.model, "language_model/model.gguf").read_bytes()
        self.replace("language_model/model.gguf", weights[:len(weights) // 2])
        self.refused("language_model/model.gguf")

    def test_a_file_that_has_not_been_copied_yet_is_named(self):
        self.replace("audio_encoder/model.safetensors", None)
        self.refused("audio_encoder/model.safetensors")

    def test_a_file_with_one_wrong_bit_is_named(self):
        weights = bytearray(pathlib.Path(BINARIES.model, "vision_encoder/model.safetensors").read_bytes())
        weights[len(weights) // 2] ^= 1
        self.replace("vision_encoder/model.safetensors", weights)
        self.refused("vision_encoder/model.safetensors")

    def test_a_parley_json_cut_short_is_named(self):
        text = pathlib.Path(BINARIES.model, "parley.json").read_bytes()
        self.replace("parley.json", text[:len(text) // 2])
        self.refused("parley.json")

    def test_a_bundle_that_is_not_there_is_named(self):
        with self.assertRaises(RuntimeError) as caught:
            Server(BINARIES.server, "--model", "/nonexistent/bundle")
        self.assertIn("/nonexistent/bundle", str(caught.exception))
        self.assertNotIn("exit code 0", str(caught.exception))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("server", "client", "model"):
        parser.add_argument(f"--{name}", required=True)
    BINARIES, rest = parser.parse_known_args()
    if not os.path.exists(os.path.join(BINARIES.model, "parley.json")):
        sys.exit(f"no bundle at '{BINARIES.model}': run deploy/setup")
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)
