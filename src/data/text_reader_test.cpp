#include "data/text_reader.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "data/jsonl_writer.h"
#include "data/test_folder.h"

namespace finback {
using namespace test;
namespace {
namespace fs = std::filesystem;

void write_gzip(const fs::path& path, const std::string& text) {
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, text.data(), unsigned(text.size()));
  gzclose(file);
}

std::vector<Document> read_all(const fs::path& path, const std::string& split = "train", const std::string& max_bad = "10") {
  ReadReport report(parse_bad_limit(max_bad));
  TextReader reader(path, report, split);
  std::vector<Document> documents;
  for (Document document; reader.next(document);) documents.push_back(document);
  EXPECT_EQ(reader.consumed_bytes(), reader.total_bytes());
  return documents;
}

// The message of what reading throws; empty when it does not.
std::string failure_of(const fs::path& path) {
  return failure([&] { read_all(path, "train", "0"); });
}

// Incompressible lines, so that a file cut in half is cut inside its data.
std::string noise(size_t bytes) {
  std::string text;
  for (uint64_t x = 1; text.size() < bytes; x = x * 6364136223846793005u + 1442695040888963407u) text += fmt::format("{:016x}\n", x);
  return text;
}

TEST(TextReader, ReadsEveryFormOfAFolderInNameOrder) {
  const fs::path folder = fresh("text_reader_forms");
  make_directories(folder / "b");
  write_file_atomic(folder / "a.txt", "plain");
  write_gzip(folder / "b" / "c.md.gz", "zipped");
  write_file_atomic(folder / "d.jsonl", "{\"text\": \"one\", \"source\": \"s\", \"id\": \"i\"}\n\n{\"text\": \"two\"}");
  write_file_atomic(folder / "ignored.png", "x");
  fs::create_symlink(folder / "a.txt", folder / "link.txt");
  const std::vector<Document> documents = read_all(folder);
  ASSERT_EQ(documents.size(), 4u);
  EXPECT_EQ(documents[0].text, "plain");
  EXPECT_EQ(documents[0].id, "a.txt");
  EXPECT_EQ(documents[1].text, "zipped");
  EXPECT_EQ(documents[1].id, "b/c.md.gz");
  EXPECT_EQ(documents[2].text + documents[2].source + documents[2].id, "onesi");
  EXPECT_EQ(documents[3].text, "two");
  EXPECT_EQ(documents[3].id, "d.jsonl:3");
}

TEST(TextReader, JsonlWriterAndReaderAgreeOnAnyText) {
  const fs::path folder = fresh("text_reader_round_trip");
  const std::vector<std::string> texts = {"\n\t\"\\", std::string("nul \0 inside", 12), "h\u00e9 \U0001F600", noise(300000)};
  JsonlWriter writer(folder / "x.jsonl.zst");
  for (const std::string& text : texts) writer.write({text, "s", "i"});
  writer.commit();
  const std::vector<Document> documents = read_all(folder / "x.jsonl.zst");
  ASSERT_EQ(documents.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(documents[i].text, texts[i]);
}

TEST(TextReader, ACorpusFolderHasTwoSplits) {
  const fs::path folder = fresh("text_reader_corpus");
  write_file_atomic(folder / "manifest.json", "{}");
  for (const std::string split : {"train", "validation"}) {
    JsonlWriter writer(folder / (split + ".jsonl.zst"));
    writer.write({split, "s", "i"});
    writer.commit();
  }
  EXPECT_EQ(read_all(folder).at(0).text, "train");
  EXPECT_EQ(read_all(folder, "validation").at(0).text, "validation");
}

TEST(TextReader, BrokenUtf8BecomesTheReplacementCharacter) {
  const fs::path folder = fresh("text_reader_utf8");
  write_file_atomic(folder / "a.txt",
                    "fa\xff"
                    "ade");
  write_file_atomic(folder / "b.jsonl", "{\"text\": \"\xff\"}\n");
  const std::vector<Document> documents = read_all(folder);
  EXPECT_EQ(documents[0].text, "fa\uFFFDade");
  EXPECT_EQ(documents[1].text, "\uFFFD");
}

TEST(TextReader, JoinedGzipMembersAreOneText) {
  const fs::path folder = fresh("text_reader_members");
  write_gzip(folder / "a.gz", "first ");
  write_gzip(folder / "b.gz", "second");
  write_file_atomic(folder / "ab.txt.gz", read_file(folder / "a.gz") + read_file(folder / "b.gz"));
  EXPECT_EQ(read_all(folder / "ab.txt.gz").at(0).text, "first second");
}

TEST(TextReader, HostileFilesGiveOneLineWithTheirPlace) {
  const fs::path folder = fresh("text_reader_hostile");
  write_gzip(folder / "whole.gz", noise(100000));
  const std::string whole = read_file(folder / "whole.gz");
  write_file_atomic(folder / "cut.txt.gz", whole.substr(0, whole.size() / 2));
  EXPECT_NE(failure_of(folder / "cut.txt.gz").find("truncated"), std::string::npos);
  std::string flipped = whole;
  for (size_t i = 1000; i < 1100; ++i) flipped[i] = char(~flipped[i]);
  write_file_atomic(folder / "flipped.txt.gz", flipped);
  EXPECT_NE(failure_of(folder / "flipped.txt.gz").find("damaged"), std::string::npos);

  JsonlWriter writer(folder / "whole.jsonl.zst");
  writer.write({noise(100000), "", ""});
  writer.commit();
  const std::string packed = read_file(folder / "whole.jsonl.zst");
  write_file_atomic(folder / "cut.jsonl.zst", packed.substr(0, packed.size() - 7));
  EXPECT_NE(failure_of(folder / "cut.jsonl.zst").find("truncated"), std::string::npos);

  for (const std::string line : {"{\"text\": ", "[1]", "{}", "{\"text\": 3}", "nonsense"}) {
    write_file_atomic(folder / "bad.jsonl", "{\"text\": \"fine\"}\n" + line + "\n");
    const std::string message = failure_of(folder / "bad.jsonl");
    EXPECT_NE(message.find("bad.jsonl: line 2"), std::string::npos) << line << ": " << message;
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }
  EXPECT_NE(failure_of(folder / "none.txt"), "");
  EXPECT_NE(failure_of(fresh("text_reader_nothing")), "");
}

// What is read of one file with this name and content, and what the report says.
std::pair<std::vector<std::string>, std::string> read_named(const std::string& name, const std::string& content) {
  const fs::path path = fresh("text_reader_named") / name;
  spill(path, content);
  ReadReport report;
  TextReader reader(path, report);
  std::vector<std::string> texts;
  for (Document document; reader.next(document);) texts.push_back(document.text);
  return {texts, report.table()};
}

TEST(TextReader, RecordsAreRecordsUnderAnyName) {
  const std::string longer(3 << 20, 'x');
  const std::string rows = "\n{\"text\": \"" + longer + "\"}\n{\"text\": \"two\", \"id\": 3}\n{broken\n";
  const std::string chats = "{\"messages\": []}\n{\"messages\": []}\n";
  for (const char* name : {"x.txt", "data", "part-00000", "x.md", "x.log", "x.jl", "x.jsonlines", "x.jsonl.bak", "x.json"}) {
    const auto [texts, table] = read_named(name, rows);
    EXPECT_EQ(texts, (std::vector<std::string>{longer, "two"})) << name;
    EXPECT_NE(table.find("read as records"), std::string::npos) << table;
    EXPECT_NE(table.find("line 4"), std::string::npos) << table;
    EXPECT_NE(read_named(name, chats).second.find("2  a chat"), std::string::npos) << name;
  }
  EXPECT_EQ(read_named("x.jsonl", rows).second.find("read as records"), std::string::npos);
  EXPECT_EQ(read_named("one.txt", "{\"text\": \"one\"}").first, (std::vector<std::string>{"one"}));
  EXPECT_EQ(read_named("utf16.txt", std::string("{\0\"\0t\0e\0x\0t\0\"\0:\0\"\0a\0\"\0}\0\n\0", 26)).first,
            (std::vector<std::string>{"a"}));
  for (const std::string text : {"{\"text\": \"quoted\"}\nis a record.\n", "{\n  \"a\": 1\n}\n", "{{template}}\n{{template}}\n",
                                 "[1]\n[2]\n", "{}x", "A word\n{\"text\": \"a\"}\n{\"text\": \"b\"}\n", "\n \n"}) {
    EXPECT_EQ(read_named("prose.txt", text).first, (std::vector<std::string>{text})) << "no records";
  }
}

TEST(TextReader, RecordsOfAnyNameKeepTheirRepairs) {
  const auto [texts, table] = read_named("x.txt", "{\"text\": \"one\"}\n{\"text\": \"a\xff\"}\n{\"text\": \"\xc3\xa9\"}\n");
  EXPECT_EQ(texts, (std::vector<std::string>{"one", "a\uFFFD", "é"}));
  EXPECT_NE(table.find("x.txt: line 2"), std::string::npos) << table;
  EXPECT_NE(table.find("repaired         1"), std::string::npos) << table;
}

TEST(TextReader, AFileIsReadOnceByACommand) {
  const fs::path folder = fresh("text_reader_once");
  spill(folder / "a.txt", "one");
  spill(folder / "b.txt", "two");
  fs::create_symlink(folder / "a.txt", fs::path(testing::TempDir()) / "text_reader_once" / "c.txt");
  ReadReport report;
  std::string all;
  for (const fs::path& input : {folder, folder / "a.txt", folder / "." / "b.txt", folder / "c.txt", folder}) {
    TextReader reader(input, report);
    for (Document document; reader.next(document);) all += document.text + ";";
    EXPECT_EQ(reader.consumed_bytes(), reader.total_bytes());
  }
  EXPECT_EQ(all, "one;two;");
  EXPECT_NE(report.table().find("5  named twice"), std::string::npos) << report.table();
}

}  // namespace
}  // namespace finback
