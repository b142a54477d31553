#pragma once

namespace parley::server {

// PARLEY_VERSION comes from the project's version in the top CMakeLists.txt.
inline constexpr char kVersion[] = PARLEY_VERSION;

}  // namespace parley::server
