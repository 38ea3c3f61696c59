#include "data/byte_stream.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include "data/line_reader.h"
#include "data/test_folder.h"

namespace finback {
using namespace test;
namespace {
namespace fs = std::filesystem;
using namespace std::string_literals;

std::string zstd_frame(const std::string& text, int window_log = 0) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  if (window_log > 0) {
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  }
  std::string out(ZSTD_compressBound(text.size()) + 64, '\0');
  ZSTD_outBuffer to{out.data(), out.size(), 0};
  // In two steps: with all of the input in one the frame would need no window.
  ZSTD_inBuffer first{text.data(), text.size() / 2, 0}, second{text.data() + text.size() / 2, text.size() - text.size() / 2, 0};
  ZSTD_compressStream2(context, &to, &first, ZSTD_e_flush);
  EXPECT_EQ(ZSTD_compressStream2(context, &to, &second, ZSTD_e_end), 0u);
  ZSTD_freeCCtx(context);
  return out.substr(0, to.pos);
}

std::string gzip_member(const std::string& text) {
  const fs::path path = fs::path(testing::TempDir()) / "byte_stream_member.gz";
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, text.data(), unsigned(text.size()));
  gzclose(file);
  return read_file(path);
}

struct Unpacked {
  std::string text;
  uint64_t behind;
};
Unpacked unpack(const std::string& bytes) {
  const fs::path path = fs::path(testing::TempDir()) / "byte_stream_input";
  spill(path, bytes);
  ByteStream stream(path);
  Unpacked out;
  char buffer[7];
  for (size_t n; (n = stream.read(buffer, sizeof buffer)) > 0;) out.text.append(buffer, n);
  EXPECT_EQ(stream.consumed(), bytes.size());
  out.behind = stream.bytes_behind();
  return out;
}

TEST(ByteStream, ZstdFramesAmongSkippableOnesAndWithLongWindows) {
  const std::string skippable = "\x5f\x2a\x4d\x18\x04\0\0\0meta"s;
  EXPECT_EQ(unpack(skippable + zstd_frame("one ") + skippable + zstd_frame("two") + skippable).text, "one two");
  EXPECT_EQ(unpack(skippable).text, "");
  EXPECT_EQ(unpack(zstd_frame("a long window", 31)).text, "a long window");
}

TEST(ByteStream, AWindowThatIsTooLongIsCalledThat) {
  // A frame header by hand: magic, no content size and no single segment, a window of 2^(10 + 30) bytes.
  EXPECT_NE(failure([] { unpack("\x28\xb5\x2f\xfd\x00\xf0"s + std::string(20, '\1')); }).find("window"), std::string::npos);
}

TEST(ByteStream, WhatStandsBehindTheLastMember) {
  for (const bool gzip : {true, false}) {
    const auto pack = [&](const std::string& text) { return gzip ? gzip_member(text) : zstd_frame(text); };
    EXPECT_EQ(unpack(pack("a") + pack("b")).text, "ab");
    for (const size_t zeros : {1, 3, 512, 3 << 20}) {
      const Unpacked padded = unpack(pack("a") + std::string(zeros, '\0') + pack("b") + std::string(zeros, '\0'));
      EXPECT_EQ(padded.text, "ab") << zeros;
      EXPECT_EQ(padded.behind, 0u);
    }
    const Unpacked zeros = unpack(pack("text") + std::string(5000, '\0')), trailer = unpack(pack("text") + "a trailer");
    EXPECT_EQ(zeros.text + trailer.text, "texttext");
    EXPECT_EQ(zeros.behind, 0u);
    EXPECT_EQ(trailer.behind, 9u);
    EXPECT_NE(failure([&] { unpack(pack("some text").substr(0, pack("some text").size() - 3)); }).find("truncated"), std::string::npos);
  }
}

TEST(LineReader, GivesLinesAndWhichOfThemWereRepaired) {
  const fs::path path = fs::path(testing::TempDir()) / "line_reader.txt";
  const std::string longer(600000, 'x');
  spill(path, "one\n\n" + longer + "\u00e9\ntwo \xff broken\nlast");
  LineReader lines(path);
  std::vector<std::string> read;
  for (std::string line; lines.next(line);) {
    read.push_back(line);
    EXPECT_EQ(lines.repaired(), lines.line_number() == 4);
  }
  EXPECT_EQ(read, (std::vector<std::string>{"one", "", longer + "é", "two \uFFFD broken", "last"}));
}

}  // namespace
}  // namespace finback
