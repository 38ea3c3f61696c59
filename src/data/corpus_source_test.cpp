#include "data/corpus_source.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>

#include "data/dictionaries.h"
#include "data/r_strings.h"
#include "data/test_folder.h"

namespace finback {
using namespace test;
namespace {
namespace fs = std::filesystem;

std::string big_endian(int64_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += char(value >> shift & 0xff);
  return bytes;
}

// An XDR serialisation of a string vector, as R 4 writes it.
std::string r_vector(const std::vector<std::string>& lines) {
  std::string raw = "X\n" + big_endian(3) + big_endian(0x40201) + big_endian(0x30500) + big_endian(5) + "UTF-8" + big_endian(16) +
                    big_endian(int64_t(lines.size()));
  for (const std::string& line : lines) raw += big_endian(0x40009) + big_endian(int64_t(line.size())) + line;
  return raw;
}

std::string r_block(const std::string& raw) {
  uLongf size = compressBound(raw.size());
  std::string packed(size, '\0');
  compress(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(raw.data()), raw.size());
  return big_endian(int64_t(raw.size())) + packed.substr(0, size);
}

// A dictd database of headwords and texts, one after the other; headwords with the same text share an entry.
void write_dictd(const fs::path& folder, const std::vector<std::pair<std::string, std::string>>& entries) {
  const auto base64 = [](size_t number) {
    static const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text(1, digits[number % 64]);
    for (number /= 64; number > 0; number /= 64) text.insert(text.begin(), digits[number % 64]);
    return text;
  };
  std::string text, index;
  for (const auto& [headword, entry] : entries) {
    const size_t known = text.find(entry), offset = known == std::string::npos ? text.size() : known;
    if (known == std::string::npos) text += entry;
    index += headword + "\t" + base64(offset) + "\t" + base64(entry.size()) + "\n";
  }
  write_file_atomic(folder / "x.dict.dz", text);  // plain bytes do as well as compressed ones
  write_file_atomic(folder / "x.index", index);
}

std::vector<Document> extract(const CorpusSource& source, const fs::path& root) {
  std::vector<Document> documents;
  ReadReport report;
  for (const SourceFile& file : source_files(source, root, report)) {
    extract_documents(
        source, file, [&](Document&& document) { documents.push_back(document); }, nullptr, report);
  }
  return documents;
}

TEST(RStrings, ReadsVectorsAndSkipsOtherObjects) {
  const fs::path path = fresh("corpus_source_r") / "Rdata.rdb";
  const std::string number = "X\n" + big_endian(2) + big_endian(1) + big_endian(1) + big_endian(14) + big_endian(1) + std::string(8, '\0');
  write_file_atomic(path, r_block(r_vector({"EMMA", "", "by"})) + r_block(number) + r_block(r_vector({"two"})));
  EXPECT_EQ(read_r_strings(path), (std::vector<std::string>{"EMMA\n\nby\n", "two\n"}));
}

TEST(RStrings, DamageIsOneLineWithThePlace) {
  const fs::path path = fresh("corpus_source_r_bad") / "Rdata.rdb";
  const std::string good = r_block(r_vector({"EMMA", "by", "Jane Austen"}));
  const auto message_of = [&](const std::string& bytes) {
    spill(path, bytes);
    return failure([&] { read_r_strings(path); });
  };
  EXPECT_EQ(message_of(good), "");
  for (size_t keep = 0; keep < good.size(); ++keep) EXPECT_NE(message_of(good.substr(0, keep)), "") << keep;
  EXPECT_NE(message_of(big_endian(0x7fffffff) + "x").find("at most 1 GiB"), std::string::npos);
  std::string lying = r_vector({"EMMA"});
  lying.replace(lying.size() - 8, 4, big_endian(1000));
  EXPECT_NE(message_of(r_block(lying)).find("more bytes"), std::string::npos);
  EXPECT_NE(message_of(r_block("Y\nabcdefgh")).find("XDR"), std::string::npos);
}

TEST(Dictd, EntriesComeOnceInFileOrderWithoutTheDatabasesOwn) {
  const fs::path folder = fresh("corpus_source_dictd");
  write_dictd(folder,
              {{"00-database-info", "about\n"}, {"be", "Be\n   to be\n"}, {"an article", "An\n   article\n"}, {"an", "An\n   article\n"}});
  const std::vector<DictionaryEntry> entries = read_dictd(folder / "x.dict.dz");
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].headword, "be");
  EXPECT_EQ(entries[0].text, "Be\n   to be\n");
  EXPECT_EQ(entries[1].headword, "an article");
  EXPECT_EQ(entries[1].text, "An\n   article\n");
}

TEST(Dictd, ABadIndexLineIsNamed) {
  const fs::path folder = fresh("corpus_source_dictd_bad");
  write_file_atomic(folder / "x.dict.dz", "some text");
  for (const std::string line : {"word\tA", "word", "word\t*\tA", "word\tA\tK", "word\t\tA", "word\tAAAAAAAAAAAAAAAA\tA", ""}) {
    write_file_atomic(folder / "x.index", "some\tA\tE\n" + line + "\n");
    EXPECT_NE(failure([&] { read_dictd(folder / "x.dict.dz"); }).find("x.index: line 2"), std::string::npos) << line;
  }
}

TEST(WordNet, GlossesStandBehindTheFirstBar) {
  const fs::path path = fresh("corpus_source_wordnet") / "data.noun";
  write_file_atomic(
      path, "  1 licence | text\n00001740 03 n 01 entity 0 003 ~ 1 n 0000 | that which is; \"a | b\"  \n00001741 03 n 01 none 0 |  \n");
  const std::vector<DictionaryEntry> entries = read_wordnet(path);
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries[0].headword, "entity");
  EXPECT_EQ(entries[0].text, "that which is; \"a | b\"\n");
}

TEST(CorpusSource, CutsAtDocumentStarts) {
  const fs::path folder = fresh("corpus_source_cut");
  write_file_atomic(folder / "Rdata.rdb", r_block(r_vector({"SENSE & Sense", "", "CHAPTER 1", "", "one", "", "Chapter 2", "two", "", ""})));
  CorpusSource source;
  source.name = "s";
  source.path = folder;
  source.format = "r-strings";
  source.files = {"Rdata.rdb"};
  source.document_start = "chapter ";
  const std::vector<Document> documents = extract(source, folder);
  ASSERT_EQ(documents.size(), 3u);
  EXPECT_EQ(documents[0].id, "sense-sense/000");
  EXPECT_EQ(documents[0].text, "SENSE & Sense\n");
  EXPECT_EQ(documents[1].text, "CHAPTER 1\n\none\n");
  EXPECT_EQ(documents[2].id, "sense-sense/002");
  EXPECT_EQ(documents[2].text, "Chapter 2\ntwo\n");
}

TEST(CorpusSource, JoinsEntriesDropsTagLinesAndUnindents) {
  const fs::path folder = fresh("corpus_source_join");
  write_dictd(
      folder,
      {{"a", "A\n   first [n]\n   [1913 Webster]\n"}, {"b", "B\n     second\n   [1913 Webster] and more\n"}, {"c", "C\n   third\n"}});
  CorpusSource source;
  source.name = "s";
  source.path = folder;
  source.format = "dictd";
  source.files = {"x.dict.dz"};
  source.drop_lines = {"[1913 Webster"};
  source.document_bytes = 20;
  source.unindent = 3;
  const std::vector<Document> documents = extract(source, folder);
  std::string all;
  for (const Document& document : documents) all += document.text + "|";
  EXPECT_EQ(documents[0].id, "a");
  EXPECT_EQ(all, "A\nfirst [n]\n\nB\n  second\n[1913 Webster] and more\n|C\nthird\n|");
}

TEST(CorpusSource, TakesFilesBySuffixWithoutSkippedPathsAndLinks) {
  const fs::path folder = fresh("corpus_source_files");
  for (const char* name : {"doc/a.rst", "doc/translations/b.rst", "doc/c.txt", "doc/sub/d.rst"}) {
    make_directories((folder / name).parent_path());
    write_file_atomic(folder / name, std::string("text of ") + name);
  }
  fs::create_symlink(folder / "doc" / "a.rst", folder / "doc" / "link.rst");
  CorpusSource source;
  source.name = "s";
  source.path = folder;
  source.files = {"doc"};
  source.suffixes = {".rst"};
  source.skip = {"translations/"};
  const std::vector<Document> documents = extract(source, folder);
  ASSERT_EQ(documents.size(), 2u);
  EXPECT_EQ(documents[0].id, "a.rst");
  EXPECT_EQ(documents[1].id, "sub/d.rst");
  source.files = {"nowhere"};
  EXPECT_NE(failure([&] { extract(source, folder); }).find("nowhere"), std::string::npos);
  source.files = {"doc"};
  source.suffixes = {".none"};
  EXPECT_NE(failure([&] { extract(source, folder); }).find("got none"), std::string::npos);
}

TEST(CorpusSource, AFolderWithoutTextIsNamed) {
  const fs::path folder = fresh("corpus_source_empty");
  CorpusSource source;
  source.name = "text";
  source.paths = {folder.string()};
  const std::string said = failure([&] { extract(source, ""); });
  EXPECT_TRUE(said.starts_with(folder.string() + ": expected files that end in")) << said;
  EXPECT_EQ(said.find("skip"), std::string::npos) << said;
  source.skip = {"old"};
  EXPECT_NE(failure([&] { extract(source, ""); }).find("and fit skip"), std::string::npos);
}

TEST(CorpusSource, CountsRepairedPieces) {
  const fs::path folder = fresh("corpus_source_repair");
  write_file_atomic(folder / "a.txt",
                    "fa\xff"
                    "ade");
  CorpusSource source;
  source.name = "s";
  source.path = folder;
  ReadReport report;
  const ExtractionCounts counts = extract_documents(
      source, {folder / "a.txt", "a.txt", true}, [](Document&& document) { EXPECT_EQ(document.text, "fa\uFFFDade\n"); }, nullptr, report);
  EXPECT_EQ(counts.repaired, 1);
  EXPECT_NE(report.table().find("a.txt (1 times)"), std::string::npos);
}

TEST(CorpusSource, SaysWhichRecordsWereCut) {
  const fs::path folder = fresh("corpus_source_long");
  std::string words;
  while (words.size() < 3 * kPartBytes) words += "some words ";
  spill(folder / "a.jsonl", "{\"text\": \"short\"}\n{\"text\": \"" + words + "\"}\n{\"text\": \"short too\"}\n");
  CorpusSource source;
  source.name = "s";
  ReadReport report;
  std::vector<std::string> parts;
  extract_documents(
      source, {folder / "a.jsonl", "a.jsonl", true}, [&](Document&& document) { parts.push_back(document.id); }, nullptr, report);
  EXPECT_GE(parts.size(), 5u);
  const std::string says =
      fmt::format("1  {}: {}: a.jsonl:2 ({} parts)", cut_into_parts(), (folder / "a.jsonl").string(), parts.size() - 2);
  EXPECT_NE(report.table().find(says), std::string::npos) << report.table() << says;
}

TEST(CorpusSource, AFileThatIsNamedByTwoNamesIsOne) {
  const fs::path folder = fresh("corpus_source_twice");
  spill(folder / "a.txt", "text");
  fs::create_symlink("a.txt", folder / "b.txt");
  CorpusSource source;
  source.name = "s";
  source.paths = {folder / "a.txt", folder / "b.txt", folder};
  EXPECT_EQ(extract(source, "").size(), 1u);
}

}  // namespace
}  // namespace finback
