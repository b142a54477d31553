// Whether AMX pays on this processor: a virtual machine can offer it and be slow, and some day's vector units
// may be as fast. As both give the same bits, the answer changes no result.
#pragma once

namespace parley::engine::kernels {

// Times a small product on AMX and on AVX-512, a few milliseconds in all. REQUIRES: HasIsa(Isa::kAmx).
bool AmxIsFaster();

}  // namespace parley::engine::kernels
