#include "tokenizer/normalizer.h"

#include <gtest/gtest.h>

#include "base/timer.h"

namespace finback {
namespace {

TEST(Normalizer, ComposesAndOrdersMarks) {
  EXPECT_EQ(normalize("e\u0301", NormalForm::kNfc), "\u00E9");
  EXPECT_EQ(normalize("\u00E9\u0323", NormalForm::kNfc), "\u1EB9\u0301");  // the dot below moves before the acute
  EXPECT_EQ(normalize("\u1100\u1161\u11A8", NormalForm::kNfc), "\uAC01");
  EXPECT_EQ(normalize("\u212B", NormalForm::kNfc), "\u00C5");
  EXPECT_EQ(normalize("\u0958", NormalForm::kNfc), "\u0915\u093C");  // a composition exclusion
  EXPECT_EQ(normalize("\u00E9", NormalForm::kNfd), "e\u0301");
}

TEST(Normalizer, CompatibilityFormsFoldLigaturesAndWidths) {
  EXPECT_EQ(normalize("\uFB01\uFF21\u00B2", NormalForm::kNfkc), "fiA2");
  EXPECT_EQ(normalize("\u1E9B\u0323", NormalForm::kNfkc), "\u1E69");
  EXPECT_EQ(normalize("\u1E9B\u0323", NormalForm::kNfkd), "s\u0323\u0307");
}

TEST(Normalizer, LeavesCharactersNewerThanUnicode9Alone) {
  EXPECT_EQ(normalize("\u32FF", NormalForm::kNfkc), "\u32FF");                             // Unicode 12.1, would be two Han characters
  EXPECT_EQ(normalize("a\u0898\u0334", NormalForm::kNfc), "a\u0898\u0334");                // class 230 then 1, but 0898 is of Unicode 14
  EXPECT_EQ(normalize("\U00011935\U00011930", NormalForm::kNfc), "\U00011935\U00011930");  // would compose since Unicode 13
}

TEST(Normalizer, ReturnsNormalTextWithoutACopy) {
  const Normalizer nfc({NormalForm::kNfc});
  std::string storage;
  const std::string text = "plain, na\u00EFve, \u4F60\u597D";
  EXPECT_EQ(nfc.apply(text, storage).data(), text.data());
  EXPECT_EQ(nfc.apply("i\u0308", storage), "\u00EF");
}

TEST(Normalizer, LongRunsOfMarksStayLinear) {
  std::string text = "a";
  for (int i = 0; i < 100000; ++i) text += i % 2 ? "\u0301" : "\u0323";
  const Timer timer;
  const std::string out = normalize(text, NormalForm::kNfc);
  EXPECT_EQ(out.substr(0, 5), "\u1EA1\u0323");
  EXPECT_LT(timer.seconds(), 5);  // an insertion sort takes 2.5e9 steps
}

}  // namespace
}  // namespace finback
