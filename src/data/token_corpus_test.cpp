#include "data/token_corpus.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "data/token_writer.h"

namespace finback {
namespace {
namespace fs = std::filesystem;

// Documents of 3, 1 and 2 tokens in shards of at most 3, and a validation document.
fs::path write_corpus(const std::string& name, const std::string& tokenizer = "{}") {
  const fs::path folder = fs::path(testing::TempDir()) / ("token_corpus_" + name);
  fs::remove_all(folder);
  make_directories(folder);
  write_file_atomic(folder / "tokenizer.json", tokenizer);
  TokenWriter writer(folder, {10, std::nullopt, 1, hash_file(folder / "tokenizer.json")}, std::vector<uint32_t>(10, 2), 3);
  writer.begin_split("train");
  writer.add(std::vector<uint32_t>{2, 3, 1}, 7);
  writer.add(std::vector<uint32_t>{1}, 2);
  writer.add(std::vector<uint32_t>{4, 1}, 4);
  writer.begin_split("validation");
  writer.add(std::vector<uint32_t>{5, 6, 7, 8, 1}, 10);
  writer.finish();
  return folder;
}

std::string failure(const fs::path& folder) {
  try {
    TokenCorpus corpus(folder);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

void edit(const fs::path& path, const std::string& from, const std::string& to) {
  std::string text = read_file(path);
  const size_t at = text.find(from);
  ASSERT_NE(at, std::string::npos) << from;
  write_file_atomic(path, text.replace(at, from.size(), to));
}

TEST(TokenCorpus, ReadsBackSplitsAcrossShards) {
  const TokenCorpus corpus(write_corpus("read"));
  EXPECT_EQ(corpus.tokenizer().vocab_size, 10);
  EXPECT_EQ(corpus.tokenizer().bos_token_id, std::nullopt);
  EXPECT_EQ(corpus.tokenizer().eos_token_id, 1);
  const TokenStream& train = corpus.train();
  EXPECT_EQ(train.shards().size(), 2u);
  EXPECT_EQ(train.tokens(), 6);
  EXPECT_EQ(train.documents(), 3);
  EXPECT_EQ(train.text_bytes(), 13);
  std::vector<int32_t> ids;
  train.append_tokens(1, 4, ids);
  EXPECT_EQ(ids, (std::vector<int32_t>{3, 1, 1, 4}));
  const uint64_t ends[] = {3, 3, 3, 4, 6, 6};
  for (int64_t i = 0; i < 6; ++i) EXPECT_EQ(train.document_at(i).end, ends[i]) << i;
  EXPECT_EQ(train.document_at(0).surplus, 1);  // 7 bytes of text, three tokens of 2
  EXPECT_EQ(corpus.validation().tokens(), 5);
}

TEST(TokenCorpus, AnUnfinishedFolderIsSaidToBeOne) {
  const fs::path folder = write_corpus("unfinished");
  fs::remove(folder / "tokens.json");
  EXPECT_NE(failure(folder).find("did not finish"), std::string::npos);
  EXPECT_NE(failure(folder / "nowhere").find("expected a folder"), std::string::npos);
}

TEST(TokenCorpus, AnotherTokenizerIsRefused) {
  const fs::path folder = write_corpus("tokenizer");
  write_file_atomic(folder / "tokenizer.json", "{ }");
  EXPECT_NE(failure(folder).find("expected the tokenizer.json that made these tokens"), std::string::npos);
  edit(folder / "tokenizer_info.json", fmt::format("{:016x}", xxhash64("{}")), fmt::format("{:016x}", xxhash64("{ }")));
  EXPECT_NE(failure(folder).find("expected tokens of tokenizer"), std::string::npos);
}

TEST(TokenCorpus, SwappedMissingAndForeignShardsAreRefused) {
  const fs::path folder = write_corpus("swapped");
  fs::rename(folder / "train-00000.shard", folder / "x");
  EXPECT_NE(failure(folder).find("train-00000.shard"), std::string::npos);
  fs::rename(folder / "train-00001.shard", folder / "train-00000.shard");
  fs::rename(folder / "x", folder / "train-00001.shard");
  EXPECT_NE(failure(folder).find("that tokens.json lists"), std::string::npos);
}

TEST(TokenCorpus, BadIndexesAreOneLine) {
  const auto message_of = [](const std::string& file, const std::string& from, const std::string& to) {
    const fs::path folder = write_corpus("index");
    edit(folder / file, from, to);
    return failure(folder);
  };
  EXPECT_NE(message_of("tokens.json", "\"format_version\": 1", "\"format_version\": 9").find("expected format version 1, got 9"),
            std::string::npos);
  EXPECT_NE(message_of("tokens.json", "train-00000", "../train-00000").find("expected a file name"), std::string::npos);
  EXPECT_NE(message_of("tokens.json", "\"validation\"", "\"other\"").find("validation"), std::string::npos);
  EXPECT_NE(message_of("tokens.json", "{", "[").find("tokens.json"), std::string::npos);
  EXPECT_NE(message_of("tokenizer_info.json", "\"eos_token_id\": 1", "\"eos_token_id\": 10").find("eos_token_id"), std::string::npos);
  EXPECT_NE(message_of("tokenizer_info.json", "\"vocab_size\": 10", "\"vocab_size\": 11").find("11 ids"), std::string::npos);
}

TEST(TokenCorpus, WritingAgainLeavesNoOldShards) {
  const fs::path folder = write_corpus("again");
  TokenWriter writer(folder, {10, std::nullopt, 1, hash_file(folder / "tokenizer.json")}, std::vector<uint32_t>(10, 2));
  EXPECT_NE(failure(folder).find("did not finish"), std::string::npos);  // from the first moment on
  writer.begin_split("train");
  writer.add(std::vector<uint32_t>{2, 1}, 2);
  writer.begin_split("validation");
  writer.finish();
  EXPECT_EQ(failure(folder), "");
  EXPECT_FALSE(fs::exists(folder / "train-00001.shard"));
  EXPECT_EQ(TokenCorpus(folder).validation().tokens(), 0);
}

}  // namespace
}  // namespace finback
