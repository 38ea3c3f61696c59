// Unicode normalization forms as tokenizer.json uses them, for one piece of text at a time. Linear in the text, also for long runs of
// marks. Characters newer than Unicode 9.0 are left alone, neither decomposed nor reordered: that is the version of the library with which
// published vocabularies are used (Hugging Face tokenizers), and ids must agree. Immutable: any thread.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace finback {

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

class Normalizer {
 public:
  Normalizer() = default;  // leaves text as it is
  explicit Normalizer(std::vector<NormalForm> forms) : forms_(std::move(forms)) {}
  bool empty() const { return forms_.empty(); }
  // Returns `text` itself when nothing can change, else a view of `storage`. REQUIRES: valid UTF-8, outliving the result.
  std::string_view apply(std::string_view text, std::string& storage) const;

 private:
  std::vector<NormalForm> forms_;  // applied in order
};

std::string normalize(std::string_view text, NormalForm form);

}  // namespace finback
