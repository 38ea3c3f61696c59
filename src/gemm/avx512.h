// What the files with AVX-512 intrinsics share: the header, and masks. Included on x86-64 only; such functions carry target attributes instead of flags for
// their file, so that nothing the linker may share with other files is compiled with AVX-512.
#pragma once
// g++ 12's header leaves registers undefined on purpose and is warned of it where it is inlined.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop

#include <cstdint>

namespace finback {

inline __mmask16 first_lanes(int64_t n) { return n >= 16 ? __mmask16(0xffff) : n <= 0 ? __mmask16(0) : __mmask16((1u << n) - 1); }

}  // namespace finback
