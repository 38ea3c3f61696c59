#include "data/text_stream.h"

#include <gtest/gtest.h>

#include "data/test_folder.h"

namespace finback {
using namespace test;
namespace {
namespace fs = std::filesystem;
using namespace std::string_literals;

struct ReadText {
  std::string text;
  TextChanges changes;
  TextEncoding encoding;
};
ReadText read_text(const fs::path& path, const TextRules& rules = {}) {
  TextStream stream(path, rules);
  ReadText out;
  for (std::string block; stream.read(block);) {
    for (const size_t place : stream.repaired()) EXPECT_EQ(block.substr(place, 3), "\uFFFD");
    out.text += block;
  }
  out.changes = stream.changes();
  out.encoding = stream.encoding();
  return out;
}
ReadText read_bytes(const std::string& name, const std::string& bytes, const TextRules& rules = {}) {
  const fs::path path = fs::path(testing::TempDir()) / ("text_stream_" + name);
  spill(path, bytes);
  return read_text(path, rules);
}

std::string utf16(const std::u16string& text, bool little) {
  std::string out;
  for (const char16_t unit : text) {
    const char low = char(unit & 0xff), high = char(unit >> 8);
    out += little ? low : high;
    out += little ? high : low;
  }
  return out;
}

TEST(TextStream, Utf16IsDecodedWithAndWithoutAMark) {
  const std::u16string text = u"One line.\nЖ \U0001F600 end\n";
  for (const bool little : {true, false}) {
    for (const bool mark : {true, false}) {
      const ReadText read = read_bytes("utf16.txt", utf16((mark ? u"\uFEFF" : u"") + text, little));
      EXPECT_EQ(read.text, "One line.\nЖ \U0001F600 end\n") << little << mark;
      EXPECT_EQ(read.encoding, little ? TextEncoding::kUtf16Le : TextEncoding::kUtf16Be);
      EXPECT_EQ(read.changes.marks, mark);
    }
  }
  const ReadText cyrillic = read_bytes("utf16_cyrillic.txt", utf16(u"Все счастливые семьи похожи друг на друга.\n", true));
  EXPECT_EQ(cyrillic.text, "Все счастливые семьи похожи друг на друга.\n");
  EXPECT_EQ(read_bytes("utf32.txt", "\xff\xfe\0\0a\0\0\0\xac\x20\0\0"s).text, "a€");
}

// No blank, no digit, no newline: no zeros on any side.
TEST(TextStream, Utf16WithoutAMarkIsToldByItsCharacters) {
  const std::u16string texts[] = {u"学而时习之不亦说乎有朋自远方来不亦乐乎人不知而不愠不亦君子乎",
                                  u"吾輩は猫である。名前はまだ無い。どこで生れたか",
                                  u"모든인간은태어날때부터자유로우며",
                                  u"Всесчастливыесемьипохожидругнадруга",
                                  u"πάντεςἄνθρωποιτοῦεἰδέναιὀρέγονταιφύσει",
                                  u"בראשיתבראאלהיםאתהשמיםואתהארץ",
                                  u"सभीमनुष्योंकोगौरवऔरअधिकारोंकेमामलेमें",
                                  u"มนุษย์ทั้งหลายเกิดมามีอิสระ"};
  int number = 0;
  for (const std::u16string& text : texts) {
    for (const bool little : {true, false}) {
      const std::string marked = utf16(u"\uFEFF" + text, little), name = fmt::format("utf16_script{}.txt", number++);
      const ReadText read = read_bytes(name, marked.substr(2));
      EXPECT_EQ(read.encoding, little ? TextEncoding::kUtf16Le : TextEncoding::kUtf16Be) << number;
      EXPECT_EQ(read.text, read_bytes(name, marked).text) << number;
    }
  }
}

// GBK and Shift-JIS would read as Korean or Chinese in UTF-16; six characters of Chinese are no proof, but no text of bytes either.
TEST(TextStream, WhatMayBeAnotherEncodingIsNamedAndNotGuessed) {
  const std::string gbk =
      "\xd1\xa7\xb6\xf8\xca\xb1\xcf\xb0\xd6\xae\xb2\xbb\xd2\xe0\xcb\xb5\xba\xf5\xd3\xd0\xc5\xf3\xd7\xd4\xd4\xb6\xb7\xbd\xc0\xb4";
  const std::string sjis =
      "\x8c\xe1\x94\x79\x82\xcd\x94\x4c\x82\xc5\x82\xa0\x82\xe9\x96\xbc\x91\x4f\x82\xcd\x82\xdc\x82\xbe\x96\xb3\x82\xa2";
  for (const std::string& bytes : {gbk, sjis, utf16(u"有朋自远方来", true), utf16(u"Да", true)})
    EXPECT_NE(failure([&] { read_bytes("other.txt", bytes); }).find("iconv -f ENCODING"), std::string::npos) << bytes.size();
  std::string noise;
  for (uint32_t i = 0, x = 1; i < 4096; ++i, x = x * 1664525 + 1013904223) noise += char(x >> 24);
  EXPECT_NE(failure([&] { read_bytes("noise.txt", noise); }), "");
}

TEST(TextStream, HalvesAndOddBytesOfUtf16AreRepaired) {
  const ReadText read = read_bytes("utf16_half.txt", utf16(u"\uFEFFa\xD83D b\xDE00 c", true) + "x");
  EXPECT_EQ(read.text, "a\uFFFD b\uFFFD c\uFFFD");
  EXPECT_EQ(read.changes.broken, 3);
}

TEST(TextStream, Windows1252IsRecognisedWhereverItBegins) {
  const std::string latin = "The caf\xe9 of Se\xf1or M\xfcller, \x93quoted\x94 \x96 na\xefve.\n",
                    utf8 = "The café of Señor Müller, “quoted” – naïve.\n";
  EXPECT_EQ(read_bytes("latin.txt", latin).text, utf8);
  EXPECT_EQ(read_bytes("french.txt", "Ch\xe8re H\xe9l\xe8ne,\r\nnous irons \xe0 c\xf4t\xe9. \xc0 bient\xf4t\r\n").text,
            "Chère Hélène,\nnous irons à côté. À bientôt\n");
  const std::string ascii(700000, 'a');  // more than a block
  const ReadText late = read_bytes("latin_late.txt", ascii + " " + latin);
  EXPECT_EQ(late.text, ascii + " " + utf8);
  EXPECT_EQ(late.encoding, TextEncoding::kWindows1252);
  EXPECT_EQ(late.changes.broken, 0);
}

TEST(TextStream, BrokenUtf8IsRepairedAndOtherEncodingsAreNamed) {
  const ReadText read = read_bytes("broken.txt", "caf\u00e9 and a caf\xe9 broken\n"s);
  EXPECT_EQ(read.text, "café and a caf\uFFFD broken\n");
  EXPECT_EQ(read.changes.broken, 1);
  EXPECT_EQ(read_bytes("cut.txt", "the end \xe2\x82"s).text, "the end \uFFFD");
  const std::string cp1251 = "\xc2\xf1\xe5 \xf1\xf7\xe0\xf1\xf2\xeb\xe8\xe2\xfb\xe5 \xf1\xe5\xec\xfc\xe8 \xef\xee\xf5\xee\xe6\xe8";
  EXPECT_NE(failure([&] { read_bytes("cp1251.txt", cp1251); }).find("an encoding that is not recognised"), std::string::npos);
  TextRules named;
  named.encoding = "latin-1";
  EXPECT_EQ(read_bytes("named.txt", "\xe9\xe9\xe9\xe9", named).text, "éééé");
}

TEST(TextStream, MarksLineEndsAndZerosAreCounted) {
  const ReadText read = read_bytes("crlf.txt", "\xEF\xBB\xBFone\r\ntwo\rstays\r\n"s + "\0"s + "x\r");
  EXPECT_EQ(read.text, "one\ntwo\rstays\n\uFFFDx\r");
  EXPECT_EQ(read.changes.marks, 1);
  EXPECT_EQ(read.changes.crlf, 2);
  EXPECT_EQ(read.changes.broken, 1);
  EXPECT_EQ(read_bytes("old_mac.txt", "one\rtwo\r").text, "one\ntwo\n");
  TextRules keep;
  keep.keep_crlf = true;
  EXPECT_EQ(read_bytes("keep.txt", "one\r\n", keep).text, "one\r\n");
}

// As find -print0 writes them; the zeros may all fall on one side.
TEST(TextStream, ZerosBetweenWordsMakeNoUtf16) {
  const std::string words[] = {"hello\0world\0"s, "one line\0a\0other line\0"s, "\0caf\xc3\xa9s\0\0bars\0"s};  // zeros on one side only
  for (const std::string& text : words) EXPECT_NE(failure([&] { read_bytes("zeros.txt", text); }).find("control bytes"), std::string::npos);
  for (const bool little : {true, false})  // and UTF-16 of few ASCII characters is that still
    EXPECT_EQ(read_bytes("chapter.txt", utf16(u"第1章\n学而时习之不亦说乎\n", little)).text, "第1章\n学而时习之不亦说乎\n");
}

// Line ends, marks and characters that lie across two reads of the file.
TEST(TextStream, ABlockMayEndAnywhere) {
  for (size_t before = (256 << 10) - 4; before < (256 << 10) + 2; ++before) {
    const std::string ascii(before, 'a');
    EXPECT_EQ(read_bytes("block.txt", ascii + "\r\nx\u20ac\uFEFFy\n").text, ascii + "\nx\u20acy\n") << before;
    EXPECT_EQ(read_bytes("block16.txt", utf16(u"\uFEFF" + std::u16string(before / 2, u'a') + u"\r\n\U0001F600", true)).text,
              std::string(before / 2, 'a') + "\n\U0001F600");
  }
}

TEST(TextStream, WhatIsNoTextIsNamed) {
  const std::pair<std::string, const char*> cases[] = {{"PAR1\x15\x04"s, "Parquet"},
                                                       {"\xfd"
                                                        "7zXZ\0\0"s,
                                                        "xz file"},
                                                       {"BZh91AY&SY\x01"s, "bzip2"},
                                                       {"PK\x03\x04"s, "zip"},
                                                       {"%PDF-1.4\n"s, "PDF"},
                                                       {"\0\x05\x16\x07\0\x02"s, "resource fork"},
                                                       {std::string(257, 'a') + "ustar", "tar"},
                                                       {"version https://git-lfs.github.com/spec/v1\noid"s, "Git LFS"},
                                                       {"ab\1\2\3\4\5\6cd"s, "control bytes"}};
  for (const auto& [bytes, says] : cases) {
    EXPECT_NE(failure([&, b = bytes] { read_bytes("no_text.txt", b); }).find(says), std::string::npos) << says;
  }
  EXPECT_EQ(read_bytes("words.txt", "BZh is no packing, ORC a people and PKs a plural\n").text.substr(0, 3), "BZh");
  EXPECT_EQ(read_bytes("orc.txt", "ORCs are a people\n").text.substr(0, 3), "ORC");
  EXPECT_NE(failure([] { read_bytes("plain.txt.zst", "plain text"); }).find("named .zst and is neither"), std::string::npos);
}

}  // namespace
}  // namespace finback
