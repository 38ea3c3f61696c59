// The pre-tokenizer patterns of DeepSeek-V3, GPT-2, Llama-3 and Qwen2 as hand-written scanners: one pass over the text, no backtracking,
// linear in its length. Each is equal to its regular expression (the tests compare them on random text). Knows nothing of tokenizer.json.
// Pure functions, any thread.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/split_regex.h"

namespace finback {

enum class KnownPattern { kDeepSeek, kGpt2, kLlama3, kQwen2 };

// The published regular expressions. DeepSeek's are three splits, one after the other, on what the one before left.
inline constexpr std::string_view kGpt2Regex = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view kLlama3Regex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view kQwen2Regex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view kDeepSeekRegexes[3] = {
    R"(\p{N}{1,3})", "[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*"
    "|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"};

// The scanner for one regular expression, if there is one (DeepSeek's take three). Escapes and literal CR/LF count as equal.
std::optional<KnownPattern> known_pattern(std::string_view regex);
bool same_regex(std::string_view a, std::string_view b);

// Appends the pieces of text[begin, end): all of it, in order, none empty. REQUIRES: valid UTF-8 below 4 GiB.
void split_known(KnownPattern pattern, std::string_view text, ByteRange range, std::vector<ByteRange>& pieces);

// A place at or after `from` where every known pattern starts a new piece whatever stands further off: a blank between two ASCII letters, or
// behind a newline with surely no white space around it. text.size() if there is none. The text may be broken UTF-8. Lets threads share one long text.
size_t safe_cut(std::string_view text, size_t from);

}  // namespace finback
