# Compiler, linker and sanitizer settings of our own code.

find_program(PARLEY_CCACHE ccache)
if(PARLEY_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${PARLEY_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${PARLEY_CCACHE})
endif()

find_program(PARLEY_MOLD mold)
if(PARLEY_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# Our targets link this; generated and third-party code does not.
add_library(parley_warnings INTERFACE)
target_compile_options(parley_warnings INTERFACE -Wall -Wextra -Werror -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(parley_warnings INTERFACE -Wthread-safety)
endif()

if(PARLEY_SANITIZER STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
elseif(PARLEY_SANITIZER STREQUAL "thread")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
  add_link_options(-fsanitize=thread)
elseif(NOT PARLEY_SANITIZER STREQUAL "")
  message(FATAL_ERROR "PARLEY_SANITIZER is '${PARLEY_SANITIZER}'; it takes address, thread or nothing")
endif()
# The code under test, generated code included, links this: it counts its branches, so that a fuzzer can steer.
add_library(parley_branch_counts INTERFACE)
if(PARLEY_BUILD_FUZZERS)
  target_compile_options(parley_branch_counts INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(PARLEY_SANITIZER AND PARLEY_WITH_TORCH)
  message(FATAL_ERROR "LibTorch is not built with sanitizers: use -DPARLEY_WITH_TORCH=OFF with PARLEY_SANITIZER")
endif()
