#include "server/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "server/flags.h"
#include "server/log.h"

namespace parley::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

absl::StatusOr<ParsedOptions> Parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "parley-server");
  return ParseOptions(static_cast<int>(arguments.size()), arguments.data());
}

TEST(Options, DefaultsAreLoopbackAndTheRealEngine) {
  const auto parsed = Parse({"--model", "bundle"});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->options.engine, "bundle");
  EXPECT_EQ(parsed->options.device, "cpu");
  EXPECT_EQ(parsed->options.server.address, "127.0.0.1");
  EXPECT_EQ(parsed->options.server.port, 50051);
}

TEST(Options, TheNameThatTheRealEngineHadIsTaken) {
  const auto parsed = Parse({"--engine", "torch", "--model", "bundle"});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->options.engine, "bundle");
  EXPECT_FALSE(Parse({"--engine", "torch"}).ok());  // it needs --model too
}

TEST(Options, FlagsAreRead) {
  const auto parsed = Parse({"--engine",
                             "fake",
                             "--port",
                             "0",
                             "--max-calls=3",
                             "--idle-limit",
                             "1.5",
                             "--drain-limit",
                             "0",
                             "--max-video-pixels",
                             "16777216",
                             "--kv-bytes",
                             "3000000000",
                             "--kv-format",
                             "int8",
                             "--max-load",
                             "0.25",
                             "--picture-decoders",
                             "in-process",
                             "--decoder-program",
                             "/opt/parley-decoder"});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->options.server.port, 0);
  EXPECT_EQ(parsed->options.server.max_calls, 3);
  EXPECT_EQ(parsed->options.kv_bytes, 3'000'000'000);
  EXPECT_EQ(parsed->options.kv_format, "int8");
  EXPECT_EQ(parsed->options.server.idle, absl::Milliseconds(1'500));
  EXPECT_EQ(parsed->options.server.drain_limit, absl::ZeroDuration());
  EXPECT_EQ(EffectiveConfig(parsed->options.server).at("max-video-pixels"), "16777216");
  EXPECT_EQ(EffectiveConfig(parsed->options.server).at("max-load"), "0.25");
  EXPECT_EQ(EffectiveConfig(parsed->options.server).at("picture-decoders"), "in-process");
  EXPECT_EQ(parsed->options.server.decoder_program, "/opt/parley-decoder");
}

TEST(Options, FileIsReadAndTheCommandLineWins) {
  const std::string path = ::testing::TempDir() + "/parley_options_test.toml";
  std::ofstream(path) << "engine = \"fake\"\nmax-calls = 5\nport = 1234\n";
  const auto parsed = Parse({"--config", path.c_str(), "--port", "0"});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->options.engine, "fake");
  EXPECT_EQ(parsed->options.server.max_calls, 5);
  EXPECT_EQ(parsed->options.server.port, 0);
}

absl::StatusOr<ParsedOptions> ParseFile(const std::string& text) {
  const std::string path = ::testing::TempDir() + "/parley_options_file.toml";
  std::ofstream(path) << text;
  return Parse({"--engine", "fake", "--config", path.c_str()});
}

TEST(ConfigFile, TakesNumbersWordsCommentsAndStrings) {
  const auto parsed = ParseFile(
      "# a comment\r\n\n  max-calls = 5 # five\nidle-limit=1.5\n\tinsecure-any-address = true\n"
      "model = \"a \\\"b\\\" \\\\ # c\"\ntls-cert = 'C:\\x'\ntls-key = 'k'# key");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->options.server.max_calls, 5);
  EXPECT_EQ(parsed->options.server.idle, absl::Milliseconds(1'500));
  EXPECT_TRUE(parsed->options.server.insecure_any_address);
  EXPECT_EQ(parsed->options.model, "a \"b\" \\ # c");
  EXPECT_EQ(parsed->options.server.tls_cert, "C:\\x");
}

TEST(ConfigFile, WhatIsNotUnderstoodIsRefusedWithItsLine) {
  for (const char* line : {"[x",
                           "[server]",
                           "[[x]]",
                           "max-calls",
                           "max-calls 5",
                           "= 5",
                           "max-calls =",
                           "max-calls = # 5",
                           "max-calls = 5 6",
                           "max-calls = 5; port = 3",
                           "max-calls = [5]",
                           "max-calls = {a = 5}",
                           "max-calls = 5calls",
                           "max-calls: 5",
                           "address = localhost",
                           "address = \"localhost",
                           "address = \"local\"host\"",
                           "address = 'a' 'b'",
                           "address = \"a\\x\"",
                           "address = \"a\x01\"",
                           "address = \"\"\"a\"\"\"",
                           "server.port = 1",
                           "\"port\" = 1",
                           "--port = 1",
                           "max-cals = 5",
                           "config = \"other\"",
                           "help = true",
                           "version = true",
                           "port = 1",
                           "insecure-any-address",
                           "; a comment",
                           "\xef\xbb\xbfmax-calls = 5",
                           "max-calls == 5",
                           "%%"}) {
    const auto parsed = ParseFile(absl::StrCat("port = 1234\n\n", line, "\nmax-wait = 3\n"));
    EXPECT_THAT(std::string(parsed.status().message()), HasSubstr("line 3 of the --config file")) << line;
  }
}

TEST(ConfigFile, AValueOfAnotherKindIsRefusedByName) {
  for (const char* line : {"max-calls = true", "max-calls = 1.5", "max-calls = 0", "max-calls = \"many\"",
                           "idle-limit = 1e9", "insecure-any-address = 7e"}) {
    EXPECT_FALSE(ParseFile(line).ok()) << line;
  }
}

TEST(Options, ANumberIsDecimalFiniteAndInRangeOnTheCommandLineAndInAFile) {
  const std::string help = Parse({"--help"})->exit_text;
  static const std::regex number("--([a-z-]+) [A-Z]+:(INT|FLOAT) in ");
  int numbers = 0;
  for (std::sregex_iterator flag(help.begin(), help.end(), number); flag != std::sregex_iterator(); ++flag) {
    ++numbers;
    const std::string name = (*flag)[1];
    const std::string option = "--" + name;
    std::vector<const char*> wrong = {"nan", "-nan", "inf", "-inf", "1e999", "0x10", "010", "", "1s"};
    if ((*flag)[2] == "INT") wrong.insert(wrong.end(), {"4.5", "1e1", "16.0"});
    for (const char* value : wrong) {
      const auto parsed = Parse({"--engine", "fake", option.c_str(), value});
      EXPECT_THAT(std::string(parsed.status().message()), HasSubstr(option + ": ")) << value;
      const auto quoted = ParseFile(absl::StrCat(name, " = \"", value, "\"\n"));
      EXPECT_THAT(std::string(quoted.status().message()), HasSubstr(option + ": ")) << value;
      EXPECT_FALSE(ParseFile(absl::StrCat(name, " = ", value, "\n")).ok()) << name << " = " << value;
    }
  }
  EXPECT_GE(numbers, 30);
  // None is without a check.
  for (const char* unit : {"SECONDS=", "SHARE=", " N=", "BYTES=", "MS=", " PORT=", "PIXELS=", "TOKENS="})
    EXPECT_THAT(help, Not(HasSubstr(unit)));
  const auto whole = Parse({"--engine", "fake", "--max-calls", "4.5"});
  EXPECT_THAT(std::string(whole.status().message()), HasSubstr("--max-calls: '4.5' is not a whole number"));
  EXPECT_THAT(std::string(ParseFile("max-calls = 010").status().message()),
              HasSubstr("line 1 of the --config file: a number has no zero in front: 010"));
}

TEST(Options, AConfigFileThatIsNoFileIsNamedAndNotWaitedFor) {
  const std::string path = ::testing::TempDir() + "/parley_options_fifo.toml";
  std::filesystem::remove(path);
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  for (const auto& [file, words] :
       {std::pair(path, "is a FIFO"), std::pair(::testing::TempDir(), "is a directory"),
        std::pair(std::string("/dev/zero"), "is a device")}) {
    const auto parsed = Parse({"--engine", "fake", "--config", file.c_str()});
    EXPECT_THAT(std::string(parsed.status().message()), HasSubstr(absl::StrCat(file, ": ", words)));
  }
  std::filesystem::remove(path);
  std::ofstream(path).flush();
  std::filesystem::resize_file(path, uintmax_t{1} << 40);  // a hole
  EXPECT_THAT(std::string(Parse({"--engine", "fake", "--config", path.c_str()}).status().message()),
              HasSubstr("1099511627776 bytes"));
  std::filesystem::remove(path);
}

TEST(Options, WhatIsWrongIsSaidInOneLine) {
  const std::string path = ::testing::TempDir() + "/parley_options_bad.toml";
  std::ofstream(path) << "max-cals = 5\n";
  const std::vector<std::pair<std::vector<const char*>, const char*>> cases = {
      {{}, "--model"},
      {{"--engine", "other"}, "--engine"},
      {{"--model", "bundle", "--device", "tpu"}, "--device"},
      {{"--engine", "fake", "--port", "65536"}, "--port"},
      {{"--engine", "fake", "--max-calls", "many"}, "--max-calls"},
      {{"--engine", "fake", "--no-such-flag"}, "--no-such-flag"},
      {{"--engine", "fake", "--config", "/no/such/file"}, "/no/such/file"},
      {{"--engine", "fake", "--config", path.c_str()}, "max-cals"},
      {{"--engine", "fake", "--tls-cert", "c.pem"}, "--tls-key"},
      {{"--engine", "fake", "--tls-client-ca", "c.pem"}, "--tls-cert"},
  };
  for (const auto& [arguments, word] : cases) {
    const auto parsed = Parse(arguments);
    ASSERT_FALSE(parsed.ok()) << word;
    EXPECT_THAT(std::string(parsed.status().message()), HasSubstr(word));
    EXPECT_THAT(std::string(parsed.status().message()), Not(HasSubstr("\n")));
  }
}

TEST(Options, AnOpenAddressNeedsTlsOrAnExplicitWord) {
  EXPECT_FALSE(Parse({"--engine", "fake", "--address", "0.0.0.0"}).ok());
  EXPECT_FALSE(Parse({"--engine", "fake", "--address", "example.org"}).ok());
  EXPECT_TRUE(Parse({"--engine", "fake", "--address", "0.0.0.0", "--insecure-any-address"}).ok());
  EXPECT_TRUE(Parse({"--engine", "fake", "--address", "0.0.0.0", "--tls-cert", "c", "--tls-key", "k"}).ok());
  EXPECT_TRUE(Parse({"--engine", "fake", "--address", "::1"}).ok());
  EXPECT_TRUE(Parse({"--engine", "fake", "--address", "unix:/run/parley.sock"}).ok());
  EXPECT_FALSE(Parse({"--engine", "fake", "--address", "unix:"}).ok());
  EXPECT_FALSE(
      Parse({"--engine", "fake", "--address", "unix:p.sock", "--tls-cert", "c", "--tls-key", "k"}).ok());
  EXPECT_TRUE(Parse({"--engine", "fake", "--address", "127.8.9.1"}).ok());
}

TEST(Options, AMetricsAddressIsAHostAndAPort) {
  for (const char* address :
       {"127.0.0.1:9464", "[::1]:0", "[::]:9464", "localhost:1", "0.0.0.0:65535", "none"}) {
    EXPECT_TRUE(Parse({"--engine", "fake", "--metrics-address", address}).ok()) << address;
  }
  // What the HTTP server would take for a list of ports, a TLS port or a redirection is none of these.
  for (const char* address :
       {"256.0.0.0:9464", "999.1.1.1:9464", "127.1:9464", "9464", "::1:9464", "[::1]", "[::1:9464",
        "[1.2.3.4]:1", "127.0.0.1:9464,9465", "127.0.0.1:9464s", "127.0.0.1:9464r", "+9464", ":9464",
        "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1: 1", "a b:1"}) {
    const auto parsed = Parse({"--engine", "fake", "--metrics-address", address});
    EXPECT_THAT(std::string(parsed.status().message()), HasSubstr("--metrics-address")) << address;
  }
}

TEST(Options, HelpNamesUnitsAndDefaults) {
  const auto parsed = Parse({"--help"});
  ASSERT_TRUE(parsed.ok());
  EXPECT_THAT(parsed->exit_text, HasSubstr("--idle-limit SECONDS"));
  EXPECT_THAT(parsed->exit_text, HasSubstr("50051"));
  EXPECT_THAT(parsed->exit_text, HasSubstr("SIGTERM"));
}

// By name; of --help, the flags that a file may set. Empty: no default.
std::map<std::string, std::string> DefaultsOfHelp() {
  const std::string help = Parse({"--help"})->exit_text;
  static const std::regex flag("^  --([a-z-]+)(?: (.*?))?(?:  .*)?$");
  std::map<std::string, std::string> defaults;
  for (const auto line : absl::StrSplit(help, '\n')) {
    std::smatch parts;
    const std::string text(line);
    if (!std::regex_match(text, parts, flag) || parts[1] == "version" || parts[1] == "config") continue;
    const std::string usage = parts[2];
    const size_t equals = usage.rfind('=');
    defaults[parts[1]] = equals == std::string::npos ? "" : usage.substr(equals + 1);
  }
  return defaults;
}

TEST(DeployedConfigFile, HoldsEveryFlagWithItsDefaultAndNothingElse) {
  const std::map<std::string, std::string> defaults = DefaultsOfHelp();
  ASSERT_GE(defaults.size(), 40u);
  static const std::regex setting("(# )?([a-z-]+) = (.*)");
  std::ifstream file(PARLEY_SOURCE_DIR "/deploy/server.toml");
  std::map<std::string, std::string> held;
  std::string everything;  // what is commented out, too
  for (std::string line; std::getline(file, line);) {
    std::smatch parts;
    if (!std::regex_match(line, parts, setting)) {
      EXPECT_TRUE(line.empty() || line[0] == '#') << line;
      continue;
    }
    const std::string name = parts[2];
    EXPECT_TRUE(held.emplace(name, absl::StrReplaceAll(std::string(parts[3]), {{"\"", ""}})).second) << line;
    absl::StrAppend(&everything, name, " = ", std::string(parts[3]), "\n");
    const auto flag = defaults.find(name);
    ASSERT_NE(flag, defaults.end()) << "there is no flag --" << name;
    if (flag->second.empty()) {
      EXPECT_TRUE(parts[1].matched || held[name] == "false") << line;
    } else {
      EXPECT_FALSE(parts[1].matched) << line;
      EXPECT_EQ(held[name], flag->second) << name;
    }
  }
  for (const auto& [name, value] : defaults)
    EXPECT_TRUE(held.contains(name)) << "--" << name << " is missing";
  const auto parsed = ParseFile(everything);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
}

TEST(Options, ShownConfigurationHoldsNoKeyPaths) {
  ServerOptions options;
  options.tls_cert = "secret/cert.pem";
  options.tls_key = "secret/key.pem";
  for (const auto& [name, value] : EffectiveConfig(options))
    EXPECT_THAT(value, Not(HasSubstr("secret"))) << name;
  EXPECT_EQ(EffectiveConfig(options).at("tls"), "on");
}

TEST(Log, TextQuotesWhatWouldBreakALine) {
  EXPECT_EQ(FormatLog(LogFormat::kText, "call opened", {{"call_id", "ab"}, {"n", 3}, {"why", "a \"b\"\n"}}),
            R"(event="call opened" call_id=ab n=3 why="a \"b\"\n")");
}

TEST(Log, JsonEscapesAndSurvivesBytesThatAreNotUtf8) {
  const std::string line = FormatLog(LogFormat::kJson, "x", {{"message", std::string("\xff\"")}});
  EXPECT_THAT(line, HasSubstr(R"("event":"x")"));
  EXPECT_THAT(line, HasSubstr("\\\""));
  EXPECT_THAT(line, Not(HasSubstr("\xff\"")));
}

}  // namespace
}  // namespace parley::server
