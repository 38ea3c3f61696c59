// In how many bits numbers are stored or multiplied.
#pragma once
#include <string>
#include <string_view>

namespace finback {

enum class Precision { kF32, kBf16, kFp8, kInt8 };

// "f32", "bf16", "fp8", "int8".
std::string precision_name(Precision precision);
// The reverse; `what` names the setting in the Error of an unknown name.
Precision parse_precision(std::string_view name, std::string_view what);

}  // namespace finback
