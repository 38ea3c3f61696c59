// Division of sizes, rounded up: how many blocks of `size` cover n.
#pragma once
#include <cstdint>

namespace finback {

constexpr int64_t ceil_div(int64_t n, int64_t size) { return (n + size - 1) / size; }

}  // namespace finback
