// The file of --config: one name = value a line, in the part of TOML v1.0 that flags need. Anything else is
// refused with its line, never skipped: sections, names that are no flag or come twice, lines without a
// value, words without quotes, anything behind a value but a comment.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <istream>
#include <string>
#include <vector>

namespace parley::server {

class ConfigFile : public CLI::Config {
 public:
  // `is_flag`: whether a file may set the flag of this name.
  explicit ConfigFile(std::function<bool(const std::string& name)> is_flag) : is_flag_(std::move(is_flag)) {}

  // Throws CLI::ConfigError.
  std::vector<CLI::ConfigItem> from_config(std::istream& file) const override;
  // Not used: nothing is written.
  std::string to_config(const CLI::App*, bool, bool, std::string) const override { return ""; }

 private:
  const std::function<bool(const std::string& name)> is_flag_;
};

}  // namespace parley::server
