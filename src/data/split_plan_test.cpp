#include "data/split_plan.h"

#include <gtest/gtest.h>

#include "base/file.h"

namespace finback {
namespace {

std::vector<SplitDocument> documents_of(const std::vector<uint64_t>& sizes) {
  std::vector<SplitDocument> documents;
  for (const uint64_t bytes : sizes) documents.push_back({xxhash64(std::to_string(documents.size())), bytes, false, false});
  return documents;
}

double share_of(const std::vector<SplitDocument>& documents, const std::vector<uint64_t>& held) {
  double all = 0, out = 0;
  for (size_t i = 0; i < documents.size(); ++i) {
    EXPECT_LE(held[i], documents[i].bytes);
    all += double(documents[i].bytes);
    out += double(held[i]);
  }
  return out / all;
}

TEST(SplitPlan, HoldsOutAShareOfTheBytesWhateverTheSizes) {
  for (const double share : {0.01, 0.05, 0.1, 0.3, 0.5, 0.9}) {
    for (int spread = 0; spread < 40; ++spread) {
      std::vector<uint64_t> sizes;
      for (uint64_t i = 0; i < 12; ++i)
        sizes.push_back(20000 + xxhash64(std::to_string(spread * 100 + int(i))) % (spread < 20 ? 100000 : 100000000));
      const auto documents = documents_of(sizes);
      EXPECT_NEAR(share_of(documents, plan_split(documents, share)), share, 0.16 * share) << share << " " << spread;
    }
  }
}

TEST(SplitPlan, OneDocumentGivesItsEnd) {
  EXPECT_EQ(plan_split(documents_of({1000}), 0.1), (std::vector<uint64_t>{100}));
  EXPECT_EQ(plan_split(documents_of({30}), 0.05), (std::vector<uint64_t>{0})) << "too little to cut";
}

TEST(SplitPlan, ManyDocumentsAreHeldOutWholeAndByTheirOwnHash) {
  auto documents = documents_of(std::vector<uint64_t>(5000, 300));
  const auto held = plan_split(documents, 0.1);
  for (size_t i = 0; i < held.size(); ++i) EXPECT_EQ(held[i] > 0, double(documents[i].hash) * 0x1p-64 < 0.1);
}

TEST(SplitPlan, NamedDocumentsAndCopies) {
  auto documents = documents_of({5000, 5000, 5000});
  documents[0].named = true;
  documents[1].duplicate = true;
  EXPECT_EQ(plan_split(documents, 0), (std::vector<uint64_t>{5000, 0, 0}));
  EXPECT_EQ(plan_split(documents, 0.1), (std::vector<uint64_t>{5000, 0, 500}));
}

TEST(SplitPlan, NeverAllOfIt) {
  for (const double share : {0.5, 0.9, 0.99}) {
    for (const std::vector<uint64_t>& sizes : {std::vector<uint64_t>{40}, {40, 40}, {4000, 1}, {100000, 100000}}) {
      const auto documents = documents_of(sizes);
      EXPECT_LT(share_of(documents, plan_split(documents, share)), 1);
    }
  }
}

}  // namespace
}  // namespace finback
