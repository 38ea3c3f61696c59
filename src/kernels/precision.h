// In how many bits numbers are stored or multiplied.
#pragma once

namespace finback {

enum class Precision { kF32, kBf16, kFp8, kInt8 };

}  // namespace finback
