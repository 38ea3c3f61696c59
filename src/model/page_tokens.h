// How many tokens a page of the KV cache holds, for those who count pages and know no tensors.
#pragma once
#include <cstdint>

namespace finback {

inline constexpr int64_t kPageTokens = 64;

}  // namespace finback
