// Where a model lives. Knows the words of users, nothing of what runs there.
#pragma once
#include <c10/core/Device.h>

#include <string>
#include <string_view>

namespace finback {

// "cpu" or "cuda". Throws Error, which says `what` was asked with, for another word and for "cuda" where torch finds no GPU.
c10::Device parse_device(const std::string& name, std::string_view what);

}  // namespace finback
