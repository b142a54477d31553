#include "amx_emulator.h"

#include <ucontext.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace parley::engine::kernels {
namespace {

constexpr int kTiles = 8;
constexpr int kMaxRows = 16;
constexpr int kMaxRowBytes = 64;

struct Tile {
  int rows = 0;
  int row_bytes = 0;
  uint8_t bytes[kMaxRows][kMaxRowBytes] = {};
};

struct Tiles {
  bool configured = false;
  Tile tile[kTiles];
};

// Reached from a signal handler of the thread that runs the instruction, never while it is made.
thread_local Tiles tiles;
thread_local long instructions_carried_out = 0;

// In a signal handler: nothing that allocates or locks.
[[noreturn]] void Fail(const char* what) {
  const auto write_out = [](const char* text) { (void)!write(STDERR_FILENO, text, std::strlen(text)); };
  write_out("AMX emulator: ");
  write_out(what);
  write_out("\n");
  std::abort();
}

void Check(bool holds, const char* what) {
  if (!holds) Fail(what);
}

// The parts of an instruction with a three-byte VEX prefix: C4, RXBmmmmm, WvvvvLpp, opcode, ModRM, [SIB],
// [displacement].
struct Instruction {
  int prefix;  // pp: 0 none, 1 66, 2 F3, 3 F2
  int opcode;
  int mod;
  int reg;
  int rm;
  int vvvv;
  int length;
  // Of a memory operand:
  bool has_sib = false;
  uint64_t base = 0;    // with the displacement
  uint64_t stride = 0;  // the index times its scale
};

uint64_t Register(const ucontext_t& context, int number) {
  constexpr int kOrder[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  return static_cast<uint64_t>(context.uc_mcontext.gregs[kOrder[number]]);
}

// False when it is none of AMX's.
bool Decode(const ucontext_t& context, Instruction& to) {
  const auto* const at = reinterpret_cast<const uint8_t*>(context.uc_mcontext.gregs[REG_RIP]);
  constexpr int kVex3 = 0xc4;
  constexpr int kMap0F38 = 2;
  if (at[0] != kVex3 || (at[1] & 31) != kMap0F38) return false;
  const bool extends_index = (at[1] & 0x40) == 0;  // stored inverted
  const bool extends_base = (at[1] & 0x20) == 0;
  const bool wide = (at[2] & 0x80) != 0;
  const bool is_256 = (at[2] & 4) != 0;
  to.prefix = at[2] & 3;
  to.vvvv = ~(at[2] >> 3) & 15;
  to.opcode = at[3];
  if (wide || is_256 || (to.opcode != 0x49 && to.opcode != 0x4b && to.opcode != 0x5e)) return false;
  to.mod = at[4] >> 6;
  to.reg = at[4] >> 3 & 7;
  to.rm = at[4] & 7;
  to.length = 5;
  if (to.mod == 3) return true;
  int base = to.rm;
  int index = 4;  // none
  int scale = 0;
  if (to.rm == 4) {
    to.has_sib = true;
    const uint8_t sib = at[to.length++];
    scale = sib >> 6;
    index = (sib >> 3 & 7) + (extends_index ? 8 : 0);
    base = sib & 7;
  }
  const bool no_base = to.mod == 0 && base == 5;  // a displacement alone, or from the next instruction on
  int32_t displacement = 0;
  if (to.mod == 1) {
    displacement = static_cast<int8_t>(at[to.length]);
    to.length += 1;
  } else if (to.mod == 2 || no_base) {
    std::memcpy(&displacement, at + to.length, 4);
    to.length += 4;
  }
  if (!no_base) {
    to.base = Register(context, base + (extends_base ? 8 : 0));
  } else if (!to.has_sib) {
    to.base = reinterpret_cast<uint64_t>(at + to.length);
  }
  to.base += static_cast<uint64_t>(static_cast<int64_t>(displacement));
  if (index != 4) to.stride = Register(context, index) << scale;
  return true;
}

void Configure(const uint8_t* config) {
  Tiles made;
  const int palette = config[0];
  Check(palette <= 1, "LDTILECFG: an unknown palette");
  if (palette == 1) {
    Check(config[1] == 0, "LDTILECFG: a start row");
    for (int i = 2; i < 16; ++i) Check(config[i] == 0, "LDTILECFG: a reserved byte");
    for (int i = 16 + 2 * kTiles; i < 48; ++i) Check(config[i] == 0, "LDTILECFG: row bytes of no tile");
    for (int i = 48 + kTiles; i < 64; ++i) Check(config[i] == 0, "LDTILECFG: rows of no tile");
    for (int i = 0; i < kTiles; ++i) {
      uint16_t row_bytes;
      std::memcpy(&row_bytes, config + 16 + 2 * i, 2);
      made.tile[i].row_bytes = row_bytes;
      made.tile[i].rows = config[48 + i];
      Check(row_bytes <= kMaxRowBytes && made.tile[i].rows <= kMaxRows, "LDTILECFG: too large a tile");
      Check((row_bytes == 0) == (made.tile[i].rows == 0), "LDTILECFG: half an empty tile");
    }
    made.configured = true;
  }
  tiles = made;
}

Tile& Configured(int number) {
  Check(tiles.configured && number < kTiles, "a tile before it is configured");
  Tile& tile = tiles.tile[number];
  Check(tile.rows > 0 && tile.row_bytes % 4 == 0, "a tile that is not configured");
  return tile;
}

void Load(Tile& tile, const uint8_t* from, uint64_t stride) {
  std::memset(tile.bytes, 0, sizeof(tile.bytes));
  for (int row = 0; row < tile.rows; ++row) {
    std::memcpy(tile.bytes[row], from + static_cast<uint64_t>(row) * stride, tile.row_bytes);
  }
}

void Store(const Tile& tile, uint8_t* to, uint64_t stride) {
  for (int row = 0; row < tile.rows; ++row) {
    std::memcpy(to + static_cast<uint64_t>(row) * stride, tile.bytes[row], tile.row_bytes);
  }
}

int Byte(uint8_t byte, bool is_signed) { return is_signed ? static_cast<int8_t>(byte) : byte; }

// c[m][n] += the sum over k and i of a[m][4k + i] * b[k][4n + i]
void MultiplyAdd(Tile& c, const Tile& a, bool a_signed, const Tile& b, bool b_signed) {
  Check(&c != &a && &c != &b && &a != &b, "TDP: a tile twice");
  Check(c.rows == a.rows && c.row_bytes == b.row_bytes && a.row_bytes / 4 == b.rows,
        "TDP: the shapes differ");
  for (int m = 0; m < c.rows; ++m) {
    for (int n = 0; n < c.row_bytes / 4; ++n) {
      uint32_t sum;  // it wraps
      std::memcpy(&sum, c.bytes[m] + 4 * n, 4);
      for (int k = 0; k < b.rows; ++k) {
        for (int i = 0; i < 4; ++i) {
          const int product = Byte(a.bytes[m][4 * k + i], a_signed) * Byte(b.bytes[k][4 * n + i], b_signed);
          sum += static_cast<uint32_t>(product);
        }
      }
      std::memcpy(c.bytes[m] + 4 * n, &sum, 4);
    }
  }
}

// False when it is none of those that int8 takes.
bool CarryOut(const Instruction& i) {
  constexpr int kNone = 0, k66 = 1, kF3 = 2, kF2 = 3;
  const bool in_memory = i.mod != 3;
  if (i.opcode == 0x49) {
    if (in_memory && i.prefix == kNone && i.reg == 0) {
      Configure(reinterpret_cast<const uint8_t*>(i.base));
    } else if (!in_memory && i.prefix == kNone && i.reg == 0 && i.rm == 0) {
      tiles = {};  // TILERELEASE
    } else if (!in_memory && i.prefix == kF2 && i.rm == 0) {
      Tile& tile = Configured(i.reg);
      std::memset(tile.bytes, 0, sizeof(tile.bytes));
    } else {
      return false;
    }
    return true;
  }
  if (i.opcode == 0x4b) {
    if (!in_memory || i.prefix == kNone) return false;
    Check(i.has_sib, "a tile's memory without an index");
    Tile& tile = Configured(i.reg);
    if (i.prefix == kF3) {
      Store(tile, reinterpret_cast<uint8_t*>(i.base), i.stride);
    } else {  // F2, and 66 for what is not read again
      Load(tile, reinterpret_cast<const uint8_t*>(i.base), i.stride);
    }
    return true;
  }
  if (in_memory) return false;
  // TDPB, then whether the first and the second are signed
  const bool a_signed = i.prefix == kF2 || i.prefix == kF3;
  const bool b_signed = i.prefix == kF2 || i.prefix == k66;
  MultiplyAdd(Configured(i.reg), Configured(i.rm), a_signed, Configured(i.vvvv), b_signed);
  return true;
}

void OnIllegalInstruction(int, siginfo_t*, void* context_pointer) {
  ucontext_t& context = *static_cast<ucontext_t*>(context_pointer);
  Instruction instruction;
  if (!Decode(context, instruction) || !CarryOut(instruction)) Fail("an instruction that it does not know");
  ++instructions_carried_out;
  context.uc_mcontext.gregs[REG_RIP] += instruction.length;
}

}  // namespace

AmxEmulator::AmxEmulator() {
  struct sigaction action = {};
  action.sa_sigaction = OnIllegalInstruction;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGILL, &action, &before_);
}

AmxEmulator::~AmxEmulator() { sigaction(SIGILL, &before_, nullptr); }

long AmxEmulator::instructions() { return instructions_carried_out; }

}  // namespace parley::engine::kernels
