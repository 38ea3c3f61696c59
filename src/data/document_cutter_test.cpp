#include "data/document_cutter.h"

#include <gtest/gtest.h>

namespace finback {
namespace {

std::vector<Document> cut(const CorpusSource& source, const std::string& text, size_t step) {
  std::vector<Document> documents;
  const DocumentSink sink = [&](Document&& document) { documents.push_back(document); };
  DocumentCutter cutter(source, sink);
  for (size_t at = 0; at < text.size(); at += step) cutter.add("x", at == 0, std::string_view(text).substr(at, step));
  cutter.finish();
  return documents;
}

TEST(DocumentCutter, ASeparatorEndsADocumentHoweverThePieceComes) {
  CorpusSource source;
  source.separator = "<|end|>";
  const std::string text = "\none\n<|end|>\n\ntwo\n  lines\n <|end|> \r\n<|end|>\nthree <|end|> inside";
  for (const size_t step : {size_t(1), size_t(3), size_t(1000)}) {
    const std::vector<Document> documents = cut(source, text, step);
    ASSERT_EQ(documents.size(), 3u) << step;
    EXPECT_EQ(documents[0].text, "one\n");
    EXPECT_EQ(documents[1].text, "two\n  lines\n");
    EXPECT_EQ(documents[2].text, "three <|end|> inside\n");
    EXPECT_EQ(documents[2].id, "x/003");
  }
}

TEST(DocumentCutter, ALongDocumentComesInPartsThatLoseNothing) {
  std::string text;
  while (text.size() < 2 * kPartBytes + 1000) text += "some words of line " + std::to_string(text.size()) + "\n";
  for (const bool by_lines : {false, true}) {
    CorpusSource source;
    source.unindent = by_lines;
    const std::vector<Document> documents = cut(source, text, 100000);
    ASSERT_EQ(documents.size(), 3u);
    std::string whole;
    for (size_t i = 0; i < 3; ++i) {
      whole += documents[i].text;
      EXPECT_EQ(documents[i].part, int64_t(i));
      EXPECT_LE(documents[i].text.size(), kPartBytes + 1);
    }
    EXPECT_EQ(whole, text);
    EXPECT_EQ(document_name(documents[1]), "x/0001");
  }
}

TEST(DocumentCutter, CutsBehindParagraphsThenLinesThenWords) {
  EXPECT_EQ(cut_place("aa bb\ncc\n\ndd ee", 2, 14), 10u);
  EXPECT_EQ(cut_place("aa bb\ncc dd ee", 2, 13), 6u);
  EXPECT_EQ(cut_place("aaaa bbbb", 2, 8), 5u);
  EXPECT_EQ(cut_place("aaaa\u20ac", 2, 5), 4u);
  EXPECT_EQ(cut_place("\u20ac\u20ac", 0, 2), 3u) << "never nothing";
}

}  // namespace
}  // namespace finback
