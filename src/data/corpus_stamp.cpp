#include "data/corpus_stamp.h"

#include "base/error.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

std::string text_at(const Json& json, const char* key) {
  const auto found = json.is_object() ? json.find(key) : json.end();
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

std::optional<CorpusStamp> read_corpus_stamp(const fs::path& corpus) {
  if (!fs::exists(corpus / "manifest.json")) return std::nullopt;
  const Json manifest = read_json(corpus / "manifest.json");
  const auto hash = [&](const char* split) { return text_at(manifest.value(split, Json::object()), "text_xxhash"); };
  return manifest.is_object() ? CorpusStamp{hash("train"), hash("validation")} : CorpusStamp{};
}

Json corpus_stamp_json(const CorpusStamp& stamp, const fs::path& corpus, const fs::path& tokens) {
  const fs::path folder = fs::weakly_canonical(corpus).lexically_relative(fs::weakly_canonical(tokens));
  return {{"folder", folder.string()}, {"train", stamp.train}, {"validation", stamp.validation}};
}

std::string why_older_than_corpus(const fs::path& tokens, const Json& index) {
  const auto made_from = index.find("corpus");
  if (made_from == index.end()) return "";
  const CorpusStamp then{text_at(*made_from, "train"), text_at(*made_from, "validation")};
  const fs::path corpus = fs::weakly_canonical(fs::weakly_canonical(tokens) / text_at(*made_from, "folder"));
  const std::optional<CorpusStamp> now = read_corpus_stamp(corpus);
  if (!now || !now->known() || !then.known() || *now == then) return "";
  return fmt::format(
      "{0}: expected tokens of the text that is in {1} now, got those of an earlier build of it. Hint: finback tokenize {1} --tokenizer "
      "{0} --out {0}",
      tokens.string(), corpus.string());
}

}  // namespace finback
