# parley_library(NAME SOURCES ... DEPS ... PRIVATE_DEPS ... INNER_LOOPS): a folder's library, named after the folder,
# built for what links it. Includes are written from the top of the tree: #include "engine/api/engine.h".
# INNER_LOOPS: loops over samples, tokens or weights, optimised under the sanitizers too.
function(parley_library name)
  cmake_parse_arguments(ARG "INNER_LOOPS" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  if(ARG_SOURCES)
    add_library(${name} STATIC EXCLUDE_FROM_ALL ${ARG_SOURCES})
    if(ARG_INNER_LOOPS AND PARLEY_SANITIZER)
      target_compile_options(${name} PRIVATE -O1)
    endif()
    target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
    target_link_libraries(${name} PUBLIC ${ARG_DEPS} PRIVATE parley_warnings parley_branch_counts ${ARG_PRIVATE_DEPS})
  else()
    add_library(${name} INTERFACE)
    target_include_directories(${name} INTERFACE ${PROJECT_SOURCE_DIR})
    target_link_libraries(${name} INTERFACE ${ARG_DEPS})
  endif()
endfunction()

# What a test finds in its environment.
set(PARLEY_TEST_ENVIRONMENT "PARLEY_MODEL_DIR=${PARLEY_MODEL_DIR}")
if(PARLEY_SANITIZER STREQUAL "thread")
  # The first report ends the test. What is not looked at, and why, stands in the file.
  list(APPEND PARLEY_TEST_ENVIRONMENT
    "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:suppressions=${PROJECT_SOURCE_DIR}/cmake/tsan.supp")
endif()

# parley_test(NAME SOURCES ... DEPS ... LABELS ... TIMEOUT s INNER_LOOPS ONE_THREAD): one gtest binary, one ctest
# entry per file. A test is run once, so it is not optimised: with g++ 12 all of them compile in 500 s of processor time
# instead of 700 s. INNER_LOOPS: as above. ONE_THREAD: neither the test nor what it tests starts a thread; ThreadSanitizer
# has nothing to see there and its build leaves the test out. The others have the label `threads`: deploy/test --stress
# repeats them under load.
# Label `weights` marks a test that needs PARLEY_MODEL_DIR; it fails, never skips, when that is missing.
function(parley_test name)
  cmake_parse_arguments(ARG "INNER_LOOPS;ONE_THREAD" "TIMEOUT" "SOURCES;DEPS;LABELS" ${ARGN})
  if(NOT PARLEY_BUILD_TESTS OR (ARG_ONE_THREAD AND PARLEY_SANITIZER STREQUAL "thread"))
    return()
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  if(PARLEY_SANITIZER)
    math(EXPR ARG_TIMEOUT "4 * ${ARG_TIMEOUT}")  # on a busy machine, too
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE parley_warnings ${ARG_DEPS} GTest::gmock GTest::gtest GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE PARLEY_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_compile_options(${name} PRIVATE $<IF:$<BOOL:${ARG_INNER_LOOPS}>,-O1,-O0>)
  add_test(NAME ${name} COMMAND ${name})
  # Of its own: the same test of another build tree may run beside it.
  set(folder "${PROJECT_BINARY_DIR}/tests/tmp/${name}")
  file(MAKE_DIRECTORY "${folder}")
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT}
    ENVIRONMENT "${PARLEY_TEST_ENVIRONMENT};TEST_TMPDIR=${folder}")
  if(NOT ARG_ONE_THREAD)
    list(APPEND ARG_LABELS threads)
  endif()
  if(ARG_LABELS)
    set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}")
  endif()
endfunction()

# parley_fuzzer(NAME SOURCES ... DEPS ...): a libFuzzer binary; clang only.
function(parley_fuzzer name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  if(NOT PARLEY_BUILD_FUZZERS)
    return()
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE parley_warnings ${ARG_DEPS})
  target_compile_options(${name} PRIVATE -fsanitize=fuzzer)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
endfunction()
