# One heavy library has one home: what is found here is linked by the folder named beside it and by no other.

find_package(absl REQUIRED CONFIG)                 # everywhere
find_package(gRPC REQUIRED CONFIG)                 # server, clients, proto
find_package(Protobuf REQUIRED)                    # server, clients, proto
find_package(spdlog REQUIRED CONFIG)               # server, clients
find_package(prometheus-cpp REQUIRED CONFIG)       # server
find_package(CLI11 REQUIRED CONFIG)                # server, clients
find_package(nlohmann_json REQUIRED CONFIG)        # engine/bundle, server, clients
find_package(OpenSSL REQUIRED)                     # engine/bundle (SHA-256), server (PEM)
find_package(PkgConfig REQUIRED)
pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp)                                      # streaming/decoders
pkg_check_modules(OPUS REQUIRED IMPORTED_TARGET opus)                                             # streaming/audio
pkg_check_modules(FFMPEG REQUIRED IMPORTED_TARGET libavformat libavcodec libavutil libswscale libswresample)  # streaming, clients
pkg_check_modules(VPX REQUIRED IMPORTED_TARGET vpx)                                               # streaming/video
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)                                             # streaming/video
pkg_check_modules(AVDEVICE REQUIRED IMPORTED_TARGET libavdevice)                                  # clients
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)                                      # engine/text
if(PARLEY_BUILD_TESTS)
  find_package(GTest REQUIRED CONFIG)
endif()

# LibTorch: headers and libraries of the `torch` wheel or of an official archive. find_package(Torch) stops
# without a CUDA toolkit, so the targets are written out. Its include/ carries an old google/protobuf and its
# own fmt: it goes behind the system's.
if(PARLEY_WITH_TORCH)
  if(NOT EXISTS "${PARLEY_TORCH_ROOT}/lib/libtorch_cpu.so")
    message(FATAL_ERROR
      "LibTorch is not at PARLEY_TORCH_ROOT='${PARLEY_TORCH_ROOT}' (no lib/libtorch_cpu.so). "
      "Run deploy/setup, or give -DPARLEY_TORCH_ROOT=<libtorch>, or -DPARLEY_WITH_TORCH=OFF for a build without it.")
  endif()
  add_library(parley_libtorch INTERFACE)
  target_compile_options(parley_libtorch INTERFACE
    "SHELL:-idirafter ${PARLEY_TORCH_ROOT}/include"
    "SHELL:-idirafter ${PARLEY_TORCH_ROOT}/include/torch/csrc/api/include")
  target_compile_definitions(parley_libtorch INTERFACE _GLIBCXX_USE_CXX11_ABI=1)
  # The wheel keeps the CUDA runtime stubs that libtorch_cpu needs in a sibling folder.
  set(PARLEY_CU_LIB "${PARLEY_TORCH_ROOT}/../nvidia/cu13/lib")
  target_link_options(parley_libtorch INTERFACE
    "LINKER:-rpath,${PARLEY_TORCH_ROOT}/lib" "LINKER:-rpath,${PARLEY_CU_LIB}"
    "LINKER:-rpath-link,${PARLEY_TORCH_ROOT}/lib" "LINKER:-rpath-link,${PARLEY_CU_LIB}")
  # Its own OpenMP, so that what runs beside it in its parallel loops has the same threads.
  file(GLOB PARLEY_TORCH_OPENMP "${PARLEY_TORCH_ROOT}/lib/libgomp*.so.1")
  target_link_libraries(parley_libtorch INTERFACE
    "${PARLEY_TORCH_ROOT}/lib/libtorch_cpu.so" "${PARLEY_TORCH_ROOT}/lib/libc10.so" ${PARLEY_TORCH_OPENMP})
endif()

# The distribution's Abseil is not instrumented: this tells ThreadSanitizer what its locks order.
if(PARLEY_SANITIZER STREQUAL "thread")
  add_library(parley_tsan_absl OBJECT ${PROJECT_SOURCE_DIR}/cmake/tsan_absl.cc)
  target_link_libraries(parley_tsan_absl PRIVATE absl::synchronization absl::time ${CMAKE_DL_LIBS})
  link_libraries("$<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:parley_tsan_absl>")
endif()
