// DeepSeek-V3's special tokens and where ids lie in its vocabularies. Data only.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "tokenizer/added_token.h"

namespace finback {

inline constexpr const char* kBosToken = "<｜begin▁of▁sentence｜>";
inline constexpr const char* kEosToken = "<｜end▁of▁sentence｜>";
inline constexpr const char* kPadToken = "<｜▁pad▁｜>";
inline constexpr const char* kUserToken = "<｜User｜>";
inline constexpr const char* kAssistantToken = "<｜Assistant｜>";
// The tags around R1's reasoning.
inline constexpr const char* kThinkOpen = "<think>";
inline constexpr const char* kThinkClose = "</think>";

// 0, 1, 2: bos, eos, pad; then the 256 bytes in the order of their symbols; then one id a merge; then the chat tokens.
inline constexpr int32_t kFirstByteId = 3, kFirstMergeId = 259;

// Those that come after the merges, in the order of their ids: R1's reasoning tags, then V3's fill-in-the-middle, chat and tool tokens.
std::span<const AddedToken> chat_tokens();
// Whether an added token is a marker by its looks: <｜...｜> or <|...|>, or a tag around a reasoning. V3's file does not call its role
// markers special.
bool is_marker(std::string_view content);
// A token without a use, special, as V3 has 800 of.
AddedToken placeholder_token(int64_t number);

}  // namespace finback
