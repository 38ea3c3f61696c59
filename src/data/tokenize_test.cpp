#include "data/tokenize.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "base/json.h"
#include "base/output_place.h"
#include "base/pool.h"
#include "data/jsonl_writer.h"
#include "data/loader.h"
#include "data/test_folder.h"
#include "tokenizer/byte_symbols.h"
#include "tokenizer/tokenizer.h"

namespace finback {
using namespace test;
namespace {
namespace fs = std::filesystem;

// Ids: the 256 bytes, "th", then <bos> and <eos>; a normalizer if wanted.
constexpr int32_t kTh = 256, kBos = 257, kEos = 258;

void write_tokenizer(const fs::path& folder, const Json& normalizer, const Json& config) {
  make_directories(folder);
  Json vocab = Json::object();
  for (int byte = 0; byte < 256; ++byte) vocab[to_byte_symbols(std::string(1, char(byte)))] = byte;
  vocab["th"] = kTh;
  const auto special = [](int id, const char* content) {
    return Json{{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
                {"rstrip", false}, {"normalized", false}, {"special", true}};
  };
  const Json json = {{"version", "1.0"},
                     {"truncation", nullptr},
                     {"padding", nullptr},
                     {"added_tokens", {special(kBos, "<bos>"), special(kEos, "<eos>")}},
                     {"normalizer", normalizer},
                     {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}}},
                     {"post_processor", nullptr},
                     {"decoder", {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}}},
                     {"model",
                      {{"type", "BPE"},
                       {"dropout", nullptr},
                       {"unk_token", nullptr},
                       {"continuing_subword_prefix", nullptr},
                       {"end_of_word_suffix", nullptr},
                       {"fuse_unk", false},
                       {"byte_fallback", false},
                       {"ignore_merges", false},
                       {"vocab", vocab},
                       {"merges", Json::array({"t h"})}}}};
  write_file_atomic(folder / "tokenizer.json", dump_json(json));
  write_file_atomic(folder / "tokenizer_config.json", dump_json(config));
}

const Json kBothEnds = {{"bos_token", "<bos>"}, {"eos_token", "<eos>"}};

void write_corpus(const fs::path& folder, const std::vector<std::string>& train, const std::vector<std::string>& validation) {
  make_directories(folder);
  for (const auto& [split, texts] : {std::pair("train", &train), std::pair("validation", &validation)}) {
    JsonlWriter writer(folder / (std::string(split) + ".jsonl.zst"));
    for (const std::string& text : *texts) writer.write({text, "s", "i"});
    writer.commit();
  }
  write_file_atomic(folder / "manifest.json", "{}");
}

std::vector<int32_t> ids_of(const TokenStream& stream) {
  std::vector<int32_t> ids;
  stream.append_tokens(0, stream.tokens(), ids);
  return ids;
}

std::string failure(const fs::path& corpus, const fs::path& tokenizer, const fs::path& out) {
  try {
    tokenize_corpus(corpus, tokenizer, out);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Tokenize, ADocumentStandsBetweenBeginAndEndOfText) {
  const fs::path root = fresh("tokenize_ends");
  write_corpus(root / "corpus", {"the", ""}, {"a"});
  write_tokenizer(root / "tokenizer", nullptr, kBothEnds);
  tokenize_corpus(root / "corpus", root / "tokenizer", root / "out");
  const TokenCorpus both(root / "out");
  EXPECT_EQ(ids_of(both.train()), (std::vector<int32_t>{kBos, kTh, 'e', kEos, kBos, kEos}));
  EXPECT_EQ(both.train().documents(), 2);
  EXPECT_EQ(both.tokenizer().vocab_size, 259);
  EXPECT_EQ(Tokenizer::load(root / "out").vocab_size(), 259);  // the tokenizer's files came along

  write_tokenizer(root / "gpt", nullptr, {{"bos_token", "<eos>"}, {"eos_token", "<eos>"}});
  tokenize_corpus(root / "corpus", root / "gpt", root / "out");
  EXPECT_EQ(ids_of(TokenCorpus(root / "out").train()), (std::vector<int32_t>{kEos, kTh, 'e', kEos, kEos, kEos}));
}

// The first byte is predicted from begin-of-text and the rest from what stands before: the targets' bytes are the text's, at any row length.
TEST(Tokenize, TargetBytesAreTheRawBytesOfTheText) {
  const std::vector<std::string> texts = {"the thing", "h\u00e9t\u0065\u0301 th\U0001F600", "spelt <eos> out <bos>", "", "x", "\n\n  th\n"};
  int64_t bytes = 0;
  for (const std::string& text : texts) bytes += int64_t(text.size());
  const std::vector<Json> normalizers = {nullptr, {{"type", "NFC"}}, {{"type", "NFKC"}}};
  for (const Json& normalizer : normalizers) {
    const fs::path root = fresh("tokenize_bytes");
    write_corpus(root / "corpus", texts, texts);
    write_tokenizer(root / "tokenizer", normalizer, kBothEnds);
    tokenize_corpus(root / "corpus", root / "tokenizer", root / "out");
    for (const int64_t seq_len : {1, 4, 7, 1000}) {
      const Loader loader({{{root / "out", 1}}, seq_len, true, 1});
      EXPECT_EQ(loader.rows_at(0, loader.epoch_rows(0)).target_bytes, bytes) << normalizer << seq_len;
      int64_t validation = 0;
      for (int64_t row = 0; row < loader.validation_rows(); ++row) validation += loader.validation_row(row).target_bytes;
      EXPECT_EQ(validation, bytes) << normalizer << seq_len;
    }
  }
}

TEST(Tokenize, FilesDoNotDependOnTheThreadCount) {
  const fs::path root = fresh("tokenize_threads");
  std::vector<std::string> texts;
  for (int i = 0; i < 500; ++i) texts.push_back(fmt::format("the number {} of those {}", i, std::string(size_t(i), 't')));
  write_corpus(root / "corpus", texts, {"the end"});
  write_tokenizer(root / "tokenizer", nullptr, kBothEnds);
  std::vector<std::string> shards, fingerprints;
  for (const int count : {1, 2, 5}) {
    set_threads(count);
    fingerprints.push_back(tokenize_corpus(root / "corpus", root / "tokenizer", root / "out").fingerprint);
    shards.push_back(read_file(root / "out" / "train-00000.shard"));
  }
  set_threads(1);
  EXPECT_EQ(shards[0], shards[1]);
  EXPECT_EQ(shards[0], shards[2]);
  EXPECT_EQ(fingerprints[0], fingerprints[2]);
  EXPECT_EQ(fingerprints[0], TokenCorpus(root / "out").fingerprint());
}

TEST(Tokenize, AnEmptyValidationSplitIsAllowed) {
  const fs::path root = fresh("tokenize_empty");
  write_corpus(root / "corpus", {"the"}, {});
  write_tokenizer(root / "tokenizer", nullptr, kBothEnds);
  tokenize_corpus(root / "corpus", root / "tokenizer", root / "out");
  EXPECT_EQ(Loader({{{root / "out", 1}}, 4, true, 1}).validation_rows(), 0);
}

TEST(Tokenize, NoTokenizerConfigOfAnEarlierTokenizerStays) {
  const fs::path root = fresh("tokenize_again");
  write_corpus(root / "corpus", {"the"}, {});
  write_tokenizer(root / "tokenizer", nullptr, kBothEnds);
  tokenize_corpus(root / "corpus", root / "tokenizer", root / "out");
  EXPECT_TRUE(fs::exists(root / "out" / "tokenizer_config.json"));
  // DeepSeek's names count without one.
  std::string json = read_file(root / "tokenizer" / "tokenizer.json");
  for (const auto& [from, to] :
       {std::pair<std::string, std::string>("<bos>", "<｜begin▁of▁sentence｜>"), {"<eos>", "<｜end▁of▁sentence｜>"}})
    json.replace(json.find(from), from.size(), to);
  write_file_atomic(root / "tokenizer" / "tokenizer.json", json);
  fs::remove(root / "tokenizer" / "tokenizer_config.json");
  tokenize_corpus(root / "corpus", root / "tokenizer", root / "out");
  EXPECT_FALSE(fs::exists(root / "out" / "tokenizer_config.json"));
}

TEST(Tokenize, MistakesAreOneLine) {
  const fs::path root = fresh("tokenize_mistakes");
  write_corpus(root / "corpus", {"the"}, {});
  write_tokenizer(root / "tokenizer", nullptr, kBothEnds);
  EXPECT_NE(failure(root / "nowhere", root / "tokenizer", root / "out").find("corpus build"), std::string::npos);
  write_file_atomic(root / "my part.txt", "text");
  const std::string text = failure(root / "my part.txt", root / "tokenizer", root / "out");
  EXPECT_NE(text.find("got a file. Hint: finback corpus build '" + (root / "my part.txt").string() + "' --out 'data/my part'"),
            std::string::npos)
      << text;
  {
    const ResultFolder other(root / "out");
    EXPECT_NE(failure(root / "corpus", root / "tokenizer", root / "out").find("another process"), std::string::npos);
  }
  EXPECT_NE(failure(root / "corpus", root / "nowhere", root / "out").find("tokenizer.json"), std::string::npos);
  write_tokenizer(root / "endless", nullptr, Json::object());
  EXPECT_NE(failure(root / "corpus", root / "endless", root / "out").find("got neither"), std::string::npos);
  const std::string whole = read_file(root / "corpus" / "train.jsonl.zst");
  write_file_atomic(root / "corpus" / "train.jsonl.zst", whole.substr(0, whole.size() - 3));
  EXPECT_NE(failure(root / "corpus", root / "tokenizer", root / "out").find("truncated"), std::string::npos);
  EXPECT_FALSE(fs::exists(root / "out" / "tokens.json"));
}

}  // namespace
}  // namespace finback
