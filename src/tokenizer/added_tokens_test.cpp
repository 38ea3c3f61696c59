#include "tokenizer/added_tokens.h"

#include <gtest/gtest.h>

namespace finback {
namespace {

using Parts = std::vector<std::pair<int32_t, std::string>>;
constexpr ControlText kRead = ControlText::kTokens;

class AddedTokensTest : public testing::Test {
 protected:
  AddedTokens make(const std::vector<AddedToken>& tokens) const { return AddedTokens(tokens, model_, normalizer_); }
  static Parts parts(const std::vector<TextPart>& list) {
    Parts out;
    for (const TextPart& part : list) out.emplace_back(part.id, std::string(part.text));
    return out;
  }
  // Two tokens, one of them also an added one in some tests.
  static BpeSpec spec() {
    BpeSpec spec;
    spec.vocab = {{"a", 0}, {"<s>", 1}};
    return spec;
  }
  BpeModel model_{spec(), "test"};
  Normalizer normalizer_{{NormalForm::kNfc}};
};

TEST_F(AddedTokensTest, KeepsIdsOfTheVocabularyAndNumbersTheOthersOn) {
  const AddedTokens added = make({{.content = "<x>"}, {.content = "<s>", .special = true}, {.content = "<y>"}, {.content = ""}});
  EXPECT_EQ(added.id_of("<x>"), 2);
  EXPECT_EQ(added.id_of("<s>"), 1);
  EXPECT_EQ(added.id_of("<y>"), 3);
  EXPECT_FALSE(added.id_of("").has_value());
  EXPECT_TRUE(added.is_special("<s>"));
  EXPECT_FALSE(added.is_special("<x>"));
}

TEST_F(AddedTokensTest, TakesTheLongestFromTheLeft) {
  const AddedTokens added = make({{.content = "<a"}, {.content = "<a>"}, {.content = "a><b"}});
  EXPECT_EQ(parts(added.split_normalized("x<a><b<a", kRead)), (Parts{{-1, "x"}, {3, "<a>"}, {-1, "<b"}, {2, "<a"}}));
}

TEST_F(AddedTokensTest, StripsWhiteSpaceOnTheSidesThatTheFlagsName) {
  const AddedTokens added = make({{.content = "<l>", .lstrip = true}, {.content = "<r>", .rstrip = true}});
  EXPECT_EQ(parts(added.split_normalized("a \u3000<l> b\t<r>\n c", kRead)),
            (Parts{{-1, "a"}, {2, " \u3000<l>"}, {-1, " b\t"}, {3, "<r>\n "}, {-1, "c"}}));
  EXPECT_EQ(parts(added.split_normalized("<r> <l>", kRead)), (Parts{{3, "<r> "}, {2, "<l>"}}));  // the blank is taken once
}

TEST_F(AddedTokensTest, SingleWordsTouchNoWordCharacter) {
  const AddedTokens added = make({{.content = "<w>", .single_word = true}});
  EXPECT_EQ(parts(added.split_normalized("<w>,<w>", kRead)), (Parts{{2, "<w>"}, {-1, ","}, {2, "<w>"}}));
  EXPECT_EQ(parts(added.split_normalized("a<w> <w>\u0301 <w>", kRead)), (Parts{{-1, "a<w> <w>\u0301 "}, {2, "<w>"}}));
}

TEST_F(AddedTokensTest, NormalizedTokensAreLookedForInNormalizedText) {
  const AddedTokens added = make({{.content = "e\u0301!"}, {.content = "e\u0301?", .normalized = false}});
  EXPECT_EQ(parts(added.split_normalized("\u00E9!", kRead)), (Parts{{2, "\u00E9!"}}));
  EXPECT_EQ(parts(added.split_raw("e\u0301!e\u0301?", kRead)), (Parts{{-1, "e\u0301!"}, {3, "e\u0301?"}}));
}

TEST_F(AddedTokensTest, OfTwoWithOneContentTheLaterFlagsCount) {
  const AddedTokens added = make({{.content = "<x>"}, {.content = "<x>", .lstrip = true, .special = true}});
  EXPECT_EQ(added.by_id().size(), 1u);
  EXPECT_EQ(parts(added.split_normalized("a <x>", kRead)), (Parts{{-1, "a"}, {2, " <x>"}}));
  EXPECT_TRUE(added.is_special("<x>"));
}

// Control tokens are the special ones and those that look like markers; text that spells one is passed over whole, its inside too.
TEST_F(AddedTokensTest, ControlTokensAreFoundOnlyWhereAskedFor) {
  const AddedTokens added = make({{.content = "<s>", .normalized = false, .special = true},
                                  {.content = "<｜User｜>", .normalized = false},
                                  {.content = "<|x|>"},
                                  {.content = "<think>"},
                                  {.content = "<extra>"},
                                  {.content = "User", .normalized = false}});
  for (const int32_t id : {1, 2, 3, 4}) EXPECT_TRUE(added.is_control(id)) << id;
  for (const int32_t id : {0, 5, 6, -1}) EXPECT_FALSE(added.is_control(id)) << id;
  EXPECT_EQ(parts(added.split_raw("a<s><｜User｜>User", kRead)), (Parts{{-1, "a"}, {1, "<s>"}, {2, "<｜User｜>"}, {6, "User"}}));
  EXPECT_EQ(parts(added.split_raw("a<s><｜User｜>User", ControlText::kText)), (Parts{{-1, "a<s><｜User｜>"}, {6, "User"}}));
  EXPECT_EQ(parts(added.split_normalized("<|x|><think><extra>", kRead)), (Parts{{3, "<|x|>"}, {4, "<think>"}, {5, "<extra>"}}));
  EXPECT_EQ(parts(added.split_normalized("<|x|><think><extra>", ControlText::kText)), (Parts{{-1, "<|x|><think>"}, {5, "<extra>"}}));
}

}  // namespace
}  // namespace finback
