// AMX on a processor without it: while one stands, AMX's instructions, which such a processor refuses, are
// carried out in plain C++ as Intel's manual defines them (Software Developer's Manual, volume 2,
// "LDTILECFG", "TILELOADD", "TDPBSSD/TDPBSUD/TDPBUSD/TDPBUUD" and so on). So the real machine code of a
// kernel is run, some microseconds an instruction. What the manual has fail (a configuration with reserved
// bits, shapes that do not fit, a tile that is not configured) ends the process with a message.
//
// One at a time in a process; threads have tiles of their own. Linux on x86-64.
#pragma once

#include <csignal>

namespace parley::engine::kernels {

class AmxEmulator {
 public:
  AmxEmulator();
  ~AmxEmulator();
  AmxEmulator(const AmxEmulator&) = delete;
  AmxEmulator& operator=(const AmxEmulator&) = delete;

  // How many instructions this thread has had carried out: that they were there at all.
  static long instructions();

 private:
  struct sigaction before_;
};

}  // namespace parley::engine::kernels
