#include "data/tokenize.h"

#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/output_place.h"
#include "base/pool.h"
#include "base/program_name.h"
#include "base/progress.h"
#include "data/corpus_stamp.h"
#include "data/text_reader.h"
#include "tokenizer/side_files.h"
#include "tokenizer/tokenizer.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

// Documents encoded at a time: enough that every thread has many, little enough to stay in memory.
constexpr size_t kBatchBytes = size_t(16) << 20, kBatchDocuments = 8192;

struct Ends {
  std::optional<int32_t> bos, eos;
};

std::vector<uint32_t> encode_document(const Tokenizer& tokenizer, const Ends& ends, const std::string& text) {
  std::vector<uint32_t> ids;
  if (ends.bos) ids.push_back(uint32_t(*ends.bos));
  const std::vector<int32_t> body = tokenizer.encode(text);  // control tokens that it spells stay text
  ids.insert(ids.end(), body.begin(), body.end());
  if (ends.eos) ids.push_back(uint32_t(*ends.eos));
  return ids;
}

// Returns the hash of all texts, as JsonlWriter takes it.
uint64_t tokenize_split(const fs::path& corpus, const std::string& split, const Tokenizer& tokenizer, const Ends& ends,
                        TokenWriter& writer) {
  writer.begin_split(split);
  ReadReport report(parse_bad_limit("0"));  // a corpus of ours has no bad line
  TextReader reader(corpus, report, split);
  uint64_t text_hash = 0;
  Progress progress("tokenize " + split, double(reader.total_bytes()) / 1e6, "MB");
  for (bool more = true; more;) {
    std::vector<std::string> texts;
    size_t bytes = 0;
    Document document;
    while (bytes < kBatchBytes && texts.size() < kBatchDocuments && (more = reader.next(document))) {
      bytes += document.text.size();
      text_hash = xxhash64(document.text, text_hash);
      texts.push_back(std::move(document.text));
    }
    std::vector<std::vector<uint32_t>> ids(texts.size());
    parallel_for(int64_t(texts.size()), [&](int64_t i) { ids[size_t(i)] = encode_document(tokenizer, ends, texts[size_t(i)]); });
    for (size_t i = 0; i < texts.size(); ++i) writer.add(ids[i], texts[i].size());
    progress.update(double(reader.consumed_bytes()) / 1e6);
  }
  progress.finish();
  return text_hash;
}

// A split that is not the one of its manifest: half of another build, or a file that was put there by hand.
void check_split(const fs::path& corpus, const std::string& split, const std::string& expected, uint64_t text_hash) {
  const std::string got = fmt::format("{:016x}", text_hash);
  FB_CHECK(expected.empty() || expected == got,
           "{}: expected the text that manifest.json beside it records ({}), got another ({}). Hint: run finback corpus build again",
           (corpus / (split + ".jsonl.zst")).string(), expected, got);
}

// `to` becomes what `from` is: a file that is absent there goes here too.
void mirror_file(const fs::path& from, const fs::path& to) {
  if (fs::weakly_canonical(from) == fs::weakly_canonical(to)) return;
  if (fs::exists(from)) {
    write_file_atomic(to, read_file(from));
  } else {
    fs::remove(to);
  }
}

// Text that is there can be made a corpus at once; a name of nothing is that of the folder to make.
[[noreturn]] void fail_corpus(const fs::path& given) {
  const fs::path named = given.has_filename() ? given : given.parent_path();
  const std::string hint = fs::exists(given)
                               ? fmt::format("{} --out {}", shell_word(given.string()), shell_word("data/" + named.stem().string()))
                               : fmt::format("RECIPE --out {}", shell_word(given.string()));
  FB_FAIL("{}: expected a corpus folder with manifest.json and train.jsonl.zst, got {}. Hint: finback corpus build {}", given.string(),
          !fs::exists(given)        ? "nothing"
          : fs::is_directory(given) ? "another folder"
                                    : "a file",
          hint);
}

}  // namespace

TokenizeReport tokenize_corpus(const fs::path& corpus, const fs::path& tokenizer_folder, const fs::path& out) {
  if (!is_corpus_folder(corpus)) fail_corpus(corpus);
  FB_CHECK(fs::exists(tokenizer_folder / "tokenizer.json"),
           "{}: expected a folder with tokenizer.json. Hint: finback tokenizer train {} --vocab-size 8192 --out {}",
           tokenizer_folder.string(), corpus.string(), tokenizer_folder.string());
  const Tokenizer tokenizer = Tokenizer::load(tokenizer_folder);
  const Ends ends{tokenizer.bos_id(), tokenizer.eos_id()};
  FB_CHECK(ends.bos || ends.eos,
           "{}: expected a begin- or end-of-text token, got neither. Hint: name bos_token or eos_token in tokenizer_config.json",
           tokenizer_folder.string());
  ResultFolder folder(out);
  fs::remove(out / "tokens.json");  // nothing below is whole until the new one is written
  for (const std::string& name : tokenizer_file_names()) mirror_file(tokenizer_folder / name, out / name);

  TokenizerInfo info;
  info.vocab_size = tokenizer.vocab_size();
  info.bos_token_id = ends.bos;
  info.eos_token_id = ends.eos;
  info.hash = hash_file(out / "tokenizer.json");
  std::vector<uint32_t> bytes_of_id(size_t(info.vocab_size), 0);
  for (size_t id = 0; id < bytes_of_id.size(); ++id) {
    const bool end = ends.bos == int32_t(id) || ends.eos == int32_t(id);
    if (!end) bytes_of_id[id] = uint32_t(tokenizer.token_bytes(int32_t(id)).size());
  }
  TokenWriter writer(out, info, std::move(bytes_of_id));
  const CorpusStamp stamp = read_corpus_stamp(corpus).value_or(CorpusStamp{});
  check_split(corpus, "train", stamp.train, tokenize_split(corpus, "train", tokenizer, ends, writer));
  check_split(corpus, "validation", stamp.validation, tokenize_split(corpus, "validation", tokenizer, ends, writer));
  TokenizeReport report;
  report.fingerprint = writer.finish(stamp.known() ? corpus_stamp_json(stamp, corpus, out) : Json());
  report.train = writer.count("train");
  report.validation = writer.count("validation");
  folder.keep();
  return report;
}

}  // namespace finback
