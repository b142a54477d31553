// Reads a reference file that tests/reference wrote.
#pragma once

#include <fstream>
#include <string>

#include "nlohmann/json.hpp"

namespace parley::engine {

// Throws, which fails the test, when the file is missing or no JSON.
inline nlohmann::json ReadJson(const std::string& path_in_tests) {
  std::ifstream file(std::string(PARLEY_SOURCE_DIR) + "/tests/" + path_in_tests);
  return nlohmann::json::parse(file);
}

}  // namespace parley::engine
