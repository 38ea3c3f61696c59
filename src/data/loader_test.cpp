#include "data/loader.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <numeric>

#include "base/error.h"
#include "data/token_writer.h"

namespace finback {
namespace {
namespace fs = std::filesystem;

constexpr uint32_t kBos = 0, kEos = 1;  // every other id i stands for i % 5 + 1 bytes
constexpr uint32_t kVocab = 300;

std::vector<uint32_t> bytes_of_id() {
  std::vector<uint32_t> bytes(kVocab);
  for (uint32_t id = 2; id < kVocab; ++id) bytes[id] = id % 5 + 1;
  return bytes;
}

using Documents = std::vector<std::vector<uint32_t>>;

// Documents of the given lengths with ids that tell where they stand.
Documents documents_of(const std::vector<int64_t>& lengths, uint32_t salt = 0) {
  Documents documents;
  uint32_t next = salt;
  for (const int64_t length : lengths) {
    std::vector<uint32_t>& ids = documents.emplace_back();
    for (int64_t i = 0; i < length; ++i) ids.push_back(2 + next++ % (kVocab - 2));
    ids.back() = kEos;
  }
  return documents;
}

// A folder of shards of at most `shard_tokens`, without a tokenizer's help.
fs::path write_tokens(const std::string& name, const Documents& train, const Documents& validation, int64_t shard_tokens = 1 << 20,
                      const std::string& tokenizer_json = "{}") {
  const fs::path folder = fs::path(testing::TempDir()) / ("loader_" + name);
  fs::remove_all(folder);
  make_directories(folder);
  write_file_atomic(folder / "tokenizer.json", tokenizer_json);
  TokenizerInfo info{kVocab, kBos, kEos, hash_file(folder / "tokenizer.json")};
  TokenWriter writer(folder, info, bytes_of_id(), shard_tokens);
  for (const auto& [split, documents] : {std::pair("train", &train), std::pair("validation", &validation)}) {
    writer.begin_split(split);
    for (const std::vector<uint32_t>& ids : *documents) {
      uint64_t bytes = 0;
      for (const uint32_t id : ids) bytes += bytes_of_id()[id];
      writer.add({ids.begin(), ids.end()}, bytes);
    }
  }
  writer.finish();
  return folder;
}

LoaderOptions options_of(const fs::path& folder, int64_t seq_len, bool document_mask = true) {
  return {{{folder, 1}}, seq_len, document_mask, 1};
}

const std::vector<int64_t> kLengths = {7, 1, 1, 40, 2, 16, 3, 15, 17, 1, 5, 33};

TEST(Loader, EveryTokenBehindAnotherOfItsDocumentIsATargetOnceAnEpoch) {
  const Documents documents = documents_of(kLengths);
  for (const int64_t seq_len : {1, 2, 7, 8, 16, 300}) {
    const Loader loader(options_of(write_tokens("once", documents, {}, 20), seq_len));
    std::map<int32_t, int64_t> expected, got;
    int64_t bytes = 0, targets = 0;
    for (const auto& ids : documents) {
      for (size_t i = 1; i < ids.size(); ++i) {
        ++expected[int32_t(ids[i])];
        bytes += bytes_of_id()[ids[i]];
        ++targets;
      }
    }
    const PackedRows epoch = loader.rows_at(0, loader.epoch_rows(0));
    for (const int32_t target : epoch.targets) {
      if (target != kMaskedTarget) ++got[target];
    }
    EXPECT_EQ(got, expected) << seq_len;
    EXPECT_EQ(epoch.valid_targets, targets) << seq_len;
    EXPECT_EQ(epoch.target_bytes, bytes) << seq_len;
  }
}

TEST(Loader, TargetsStayInsideDocumentsAndPositionsStartAtThem) {
  const Documents documents = documents_of({5, 1, 6});  // ids 2..5 eos | eos | 8..12 eos
  const Loader loader(options_of(write_tokens("bounds", documents, {}), 4));
  ASSERT_EQ(loader.epoch_rows(0), 3);
  std::map<int32_t, int64_t> row_of;  // first token -> row, whatever the order
  const PackedRows rows = loader.rows_at(0, 3);
  for (int64_t row = 0; row < 3; ++row) row_of[rows.tokens[size_t(row * 4)]] = row;
  const auto part = [&](const std::vector<int32_t>& all, int32_t first) {
    const auto begin = all.begin() + row_of.at(first) * 4;
    return std::vector<int32_t>(begin, begin + 4);
  };
  EXPECT_EQ(part(rows.tokens, 2), (std::vector<int32_t>{2, 3, 4, 5}));
  EXPECT_EQ(part(rows.targets, 2), (std::vector<int32_t>{3, 4, 5, int32_t(kEos)}));
  EXPECT_EQ(part(rows.positions, 2), (std::vector<int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(part(rows.tokens, kEos), (std::vector<int32_t>{kEos, kEos, 8, 9}));
  EXPECT_EQ(part(rows.targets, kEos), (std::vector<int32_t>{-1, -1, 9, 10}));
  EXPECT_EQ(part(rows.positions, kEos), (std::vector<int32_t>{0, 0, 0, 1}));
  EXPECT_EQ(part(rows.targets, 10), (std::vector<int32_t>{11, 12, int32_t(kEos), -1}));
  EXPECT_EQ(rows.starts.size(), 5u);  // one, three and one sequences
}

TEST(Loader, WithoutDocumentMaskARowIsOneSequenceButTargetsStayInside) {
  const Documents documents = documents_of(kLengths);
  const fs::path folder = write_tokens("unmasked", documents, {});
  const PackedRows masked = Loader(options_of(folder, 8, true)).rows_at(0, 15), whole = Loader(options_of(folder, 8, false)).rows_at(0, 15);
  EXPECT_EQ(masked.tokens, whole.tokens);
  EXPECT_EQ(masked.targets, whole.targets);
  ASSERT_EQ(whole.starts.size(), 15u);
  for (size_t i = 0; i < whole.positions.size(); ++i) EXPECT_EQ(whole.positions[i], int32_t(i % 8));
}

TEST(Loader, AnyCutAndAnyRestartGiveTheSameRows) {
  Loader loader(options_of(write_tokens("cuts", documents_of(kLengths), {}), 8));
  const int64_t total = 3 * loader.epoch_rows(0) + 2;
  const PackedRows all = loader.rows_at(0, total);
  for (const int64_t micro : {1, 2, 3, 5, 16}) {
    loader.seek(0);
    std::vector<int32_t> tokens, targets;
    while (loader.cursor() < total) {
      const PackedRows some = loader.next(std::min(micro, total - loader.cursor()));
      tokens.insert(tokens.end(), some.tokens.begin(), some.tokens.end());
      targets.insert(targets.end(), some.targets.begin(), some.targets.end());
    }
    EXPECT_EQ(tokens, all.tokens);
    EXPECT_EQ(targets, all.targets);
  }
  for (int64_t cursor = 0; cursor < total; ++cursor) {
    Loader fresh(options_of(loader.corpus(0).folder(), 8));
    fresh.seek(cursor);
    const PackedRows rest = fresh.next(total - cursor);
    EXPECT_TRUE(std::equal(rest.tokens.begin(), rest.tokens.end(), all.tokens.begin() + cursor * 8));
    EXPECT_TRUE(std::equal(rest.positions.begin(), rest.positions.end(), all.positions.begin() + cursor * 8));
  }
}

TEST(Loader, TwoWorkersWithAlternateRowsSeeTheGlobalOrder) {
  const fs::path folder = write_tokens("workers", documents_of(kLengths), {});
  const Loader one(options_of(folder, 8)), two(options_of(folder, 8));
  const PackedRows all = one.rows_at(0, 40);
  for (int64_t row = 0; row < 40; ++row) {
    const PackedRows own = (row % 2 ? two : one).rows_at(row, 1);
    EXPECT_TRUE(std::equal(own.tokens.begin(), own.tokens.end(), all.tokens.begin() + row * 8));
  }
}

TEST(Loader, EpochsDifferInOrderOnly) {
  const Loader loader(options_of(write_tokens("epochs", documents_of(kLengths), {}), 4));
  const int64_t rows = loader.epoch_rows(0);
  PackedRows first = loader.rows_at(0, rows), second = loader.rows_at(rows, rows);
  EXPECT_NE(first.tokens, second.tokens);
  std::sort(first.tokens.begin(), first.tokens.end());
  std::sort(second.tokens.begin(), second.tokens.end());
  EXPECT_EQ(first.tokens, second.tokens);
  EXPECT_EQ(first.target_bytes, second.target_bytes);
}

TEST(Loader, ShardCutsDoNotShowInRows) {
  const Documents documents = documents_of(kLengths);
  const PackedRows whole = Loader(options_of(write_tokens("uncut", documents, {}), 8)).rows_at(0, 20);
  const Loader cut(options_of(write_tokens("cut", documents, {}, 10), 8));
  EXPECT_GT(cut.corpus(0).train().shards().size(), 3u);
  const PackedRows rows = cut.rows_at(0, 20);
  EXPECT_EQ(rows.tokens, whole.tokens);
  EXPECT_EQ(rows.targets, whole.targets);
  EXPECT_EQ(rows.starts, whole.starts);
}

TEST(Loader, ValidationKeepsOrderAndCountsEveryTargetOnce) {
  const Documents documents = documents_of(kLengths);
  const Loader loader(options_of(write_tokens("validation", documents_of({9}), documents), 16));
  std::vector<int32_t> tokens;
  int64_t targets = 0;
  for (int64_t row = 0; row < loader.validation_rows(); ++row) {
    const PackedRows one = loader.validation_row(row);
    tokens.insert(tokens.end(), one.tokens.begin(), one.tokens.end());
    targets += one.valid_targets;
  }
  std::vector<int32_t> expected;
  for (const auto& ids : documents) expected.insert(expected.end(), ids.begin(), ids.end());
  EXPECT_EQ(targets, int64_t(expected.size() - documents.size()));
  ASSERT_GE(tokens.size() + 1, expected.size());
  for (size_t i = 0; i < std::min(tokens.size(), expected.size()); ++i) EXPECT_EQ(tokens[i], expected[i]);
}

TEST(Loader, MixesCorporaByWeight) {
  const fs::path a = write_tokens("mix_a", documents_of({100}), {}), b = write_tokens("mix_b", documents_of({50}, 150), {});
  const Loader loader({{{a, 3}, {b, 1}}, 4, true, 5});
  const Loader only_b({{{b, 1}}, 4, true, 5});
  int64_t of_b = 0;
  for (int64_t row = 0; row < 400; ++row) {
    const int32_t first = loader.rows_at(row, 1).tokens[0];
    of_b += first >= 152 && first < 202;
  }
  EXPECT_NEAR(double(of_b), 100, 2);
  EXPECT_NE(loader.fingerprint(), only_b.fingerprint());
  EXPECT_NE(loader.fingerprint(), Loader({{{b, 1}, {a, 3}}, 4, true, 5}).fingerprint());
}

TEST(Loader, RefusesCorporaOfTwoTokenizersAndEmptyOnes) {
  const fs::path a = write_tokens("tokenizer_a", documents_of({9}), {}), b = write_tokens("tokenizer_b", documents_of({9}), {}, 100, "{ }");
  EXPECT_THROW(Loader({{{a, 1}, {b, 1}}, 4, true, 1}), Error);
  EXPECT_THROW(Loader(options_of(write_tokens("empty", {}, documents_of({9})), 4)), Error);
  EXPECT_THROW(Loader(options_of("/nowhere", 4)), Error);
  EXPECT_THROW(Loader(LoaderOptions{}), Error);
}

TEST(Loader, FingerprintIsOfTheTokensAndNotOfTheirPlace) {
  const Documents documents = documents_of(kLengths);
  const std::string first = Loader(options_of(write_tokens("place_a", documents, {}), 4)).fingerprint();
  EXPECT_EQ(first, Loader(options_of(write_tokens("place_b", documents, {}), 4)).fingerprint());
  Documents changed = documents;
  changed[3][5] ^= 1;
  EXPECT_NE(first, Loader(options_of(write_tokens("place_c", changed, {}), 4)).fingerprint());
}

}  // namespace
}  // namespace finback
