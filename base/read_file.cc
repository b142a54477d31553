#include "base/read_file.h"

#include <fstream>
#include <sstream>

namespace parley {

std::string ReadFileOrNothing(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  // Not by stream iterators, which throw when a read fails.
  text << file.rdbuf();
  return text.str();
}

}  // namespace parley
