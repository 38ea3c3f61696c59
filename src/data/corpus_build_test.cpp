#include "data/corpus_build.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/output_place.h"
#include "data/child_program.h"
#include "data/debian_package.h"
#include "data/test_folder.h"
#include "data/text_reader.h"

namespace finback {
using namespace test;
namespace {
namespace fs = std::filesystem;

std::vector<Document> read_split(const fs::path& corpus, const std::string& split) {
  ReadReport report;
  TextReader reader(corpus, report, split);
  std::vector<Document> documents;
  for (Document document; reader.next(document);) documents.push_back(document);
  return documents;
}

// A folder of 60 texts and one copy, and a recipe that reads it.
fs::path write_recipe(const std::string& name, const std::string& extra) {
  const fs::path folder = fresh("corpus_build_" + name);
  make_directories(folder / "texts");
  for (int i = 0; i < 60; ++i) spill(folder / "texts" / fmt::format("{:02}.txt", i), fmt::format("text number {}", i));
  spill(folder / "texts" / "copy.md", "text number 7\n\n");
  spill(folder / "recipe.toml", "[[sources]]\nname = \"local\"\npath = \"texts\"\n" + extra);
  return folder;
}

Json build(const fs::path& folder) {
  ReadReport report;
  return build_corpus(load_corpus_recipe(folder / "recipe.toml"), {folder / "out", folder / "cache", false}, report);
}

TEST(CorpusBuild, SplitsWholeDocumentsDropsCopiesAndRecordsEverything) {
  const fs::path folder = write_recipe("split", "held_out = [\"03\"]\nvalidation_share = 0.2\n");
  const Json manifest = build(folder);
  const std::vector<Document> train = read_split(folder / "out", "train"), validation = read_split(folder / "out", "validation");
  EXPECT_EQ(train.size() + validation.size(), 60u);
  EXPECT_NEAR(double(validation.size()), 13, 8);
  std::set<std::string> texts;
  for (const auto* split : {&train, &validation}) {
    for (const Document& document : *split) {
      EXPECT_EQ(document.source, "local");
      EXPECT_TRUE(texts.insert(document.text).second);
    }
  }
  const auto is_third = [](const Document& document) { return document.id == "03.txt"; };
  EXPECT_EQ(std::count_if(validation.begin(), validation.end(), is_third), 1);
  const Json& source = manifest.at("sources").at(0);
  EXPECT_EQ(source.at("duplicates_dropped").at("documents"), 1);
  EXPECT_EQ(source.at("inputs").size(), 61u);
  EXPECT_EQ(source.at("inputs").at(0).at("xxhash"), fmt::format("{:016x}", xxhash64("text number 0")));
  EXPECT_EQ(manifest.at("train").at("documents").get<size_t>(), train.size());
  EXPECT_EQ(read_json(folder / "out" / "manifest.json"), manifest);
}

// Stopped anywhere: in the first pass, in the second, at the first look at a file.
TEST(CorpusBuild, AStoppedBuildLeavesTheOlderCorpusAndNothingElse) {
  const fs::path folder = write_recipe("stopped", "validation_share = 0.2\n");
  build(folder);
  const auto all = [&] {
    std::string bytes;
    std::set<fs::path> names;
    for (const auto& item : fs::directory_iterator(folder / "out")) names.insert(item.path());
    for (const fs::path& name : names) bytes += name.filename().string() + "\n" + read_file(name);
    return bytes;
  };
  const std::string before = all();
  spill(folder / "texts" / "new.txt", "new");
  int stopped = 0;
  for (int at = 1; at < 400; at += 20) {
    ReadReport report;
    CorpusOptions options{folder / "out", folder / "cache", false};
    int calls = 0;
    options.check = [&] {
      if (++calls == at) FB_FAIL("stopped");
    };
    try {
      build_corpus(load_corpus_recipe(folder / "recipe.toml"), options, report);
      break;
    } catch (const Error&) {
      ++stopped;
      EXPECT_EQ(all(), before);
    }
  }
  EXPECT_GE(stopped, 5);
  EXPECT_NE(all(), before) << "the last one was not stopped";
}

TEST(CorpusBuild, OneProcessBuildsIntoAFolder) {
  const fs::path folder = write_recipe("held", "validation_share = 0.2\n");
  build(folder);
  const std::string manifest = read_file(folder / "out" / "manifest.json");
  const ResultFolder other(folder / "out");
  EXPECT_THROW(build(folder), Error);
  EXPECT_EQ(read_file(folder / "out" / "manifest.json"), manifest);
}

TEST(CorpusBuild, TheSameInputsGiveTheSameBytes) {
  const fs::path folder = write_recipe("twice", "validation_share = 0.2\n");
  build(folder);
  const std::string first = read_file(folder / "out" / "train.jsonl.zst") + read_file(folder / "out" / "validation.jsonl.zst") +
                            read_file(folder / "out" / "manifest.json");
  build(folder);
  EXPECT_EQ(first, read_file(folder / "out" / "train.jsonl.zst") + read_file(folder / "out" / "validation.jsonl.zst") +
                       read_file(folder / "out" / "manifest.json"));
}

TEST(CorpusBuild, ADocumentsSideDoesNotDependOnOthers) {
  const fs::path folder = write_recipe("side", "validation_share = 0.2\n");
  build(folder);
  std::set<std::string> before, after;
  for (const Document& document : read_split(folder / "out", "validation")) before.insert(document.id);
  fs::remove(folder / "texts" / "00.txt");
  spill(folder / "texts" / "new.txt", "new");
  build(folder);
  for (const Document& document : read_split(folder / "out", "validation")) after.insert(document.id);
  before.erase("00.txt");
  after.erase("new.txt");
  EXPECT_EQ(before, after);
}

TEST(CorpusBuild, AFailedBuildKeepsTheOldCorpus) {
  const fs::path folder = write_recipe("keep", "");
  build(folder);
  const std::string before = read_file(folder / "out" / "train.jsonl.zst");
  std::string bad;
  for (int i = 0; i < 11; ++i) bad += "{bad\n";
  spill(folder / "texts" / "zz.jsonl", "{\"text\": \"x\"}\n" + bad);
  EXPECT_NE(failure([&] { build(folder); }).find("zz.jsonl: line 2"), std::string::npos);
  EXPECT_EQ(read_file(folder / "out" / "train.jsonl.zst"), before);
  EXPECT_FALSE(fs::exists(folder / "out" / "train.jsonl.zst.tmp"));
  EXPECT_FALSE(fs::exists(folder / "out" / "documents.tmp"));
}

TEST(CorpusBuild, NewTrainBesideOldValidationIsNoCorpus) {
  const fs::path folder = write_recipe("mixed", "");
  build(folder);
  fs::remove(folder / "out" / "validation.jsonl.zst");
  make_directories(folder / "out" / "validation.jsonl.zst");  // where a file cannot be renamed to
  spill(folder / "texts" / "zz.txt", "one more");
  EXPECT_NE(failure([&] { build(folder); }).find("cannot rename"), std::string::npos);
  EXPECT_FALSE(is_corpus_folder(folder / "out"));
  EXPECT_FALSE(fs::exists(folder / "out" / "validation.jsonl.zst.tmp"));
}

TEST(CorpusBuild, RecipeMistakesAreNamed) {
  const auto message_of = [](const std::string& extra) {
    const fs::path folder = write_recipe("mistakes", extra);
    return failure([&] { build(folder); });
  };
  EXPECT_EQ(message_of(""), "");
  EXPECT_NE(message_of("held_out = [\"nobody\"]\n").find("names no document"), std::string::npos);
  EXPECT_NE(message_of("validation_shar = 0.1\n").find("validation_share"), std::string::npos);
  EXPECT_NE(message_of("validation_share = 1.0\n").find("below 1"), std::string::npos);
  EXPECT_NE(message_of("package = \"x1\"\n").find("exactly one"), std::string::npos);
  EXPECT_NE(message_of("optional = true\n").find("with a package only"), std::string::npos);
  EXPECT_NE(message_of("format = \"pdf\"\n").find("got \"pdf\""), std::string::npos);
  EXPECT_NE(message_of("encoding = \"shift-jis\"\n").find("encoding: expected auto"), std::string::npos);
  EXPECT_NE(message_of("crlf = \"drop\"\n").find("lf or keep"), std::string::npos);
  EXPECT_NE(message_of("format = \"dictd\"\ncrlf = \"keep\"\n").find("with format text only"), std::string::npos);
  EXPECT_NE(message_of("separator = \"---\"\ndocument_start = \"chapter\"\n").find("got both"), std::string::npos);
  EXPECT_NE(message_of("paths = [\"texts\"]\n").find("exactly one"), std::string::npos);
  EXPECT_NE(message_of("files = [\"../secret\"]\n").find("inside the source"), std::string::npos);
  EXPECT_NE(message_of("[[sources]]\nname = \"local\"\npath = \"texts\"\n").find("two sources"), std::string::npos);
  EXPECT_NE(message_of("held_out = [\"\"]\n").find("to train on"), std::string::npos);
}

TEST(ChildProgram, ReportsOutputExitCodeAndAbsence) {
  const ChildResult echoed = run_program({"echo", "two words"}, ".");
  EXPECT_EQ(echoed.output, "two words\n");
  EXPECT_EQ(echoed.last_line(), "two words");
  EXPECT_EQ(run_program({"false"}, ".").exit_code, 1);
  EXPECT_FALSE(run_program({"no-such-program-here"}, ".").found);
}

// Stand-ins for apt-get and dpkg-deb, found first in PATH: no network, no installed packages.
class FakeDebian : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fresh("corpus_build_debian");
    make_directories(folder_ / "bin");
    script("apt-get", "[ \"$1\" = download ] || exit 9\nfor name; do :; done\necho run >> " + (folder_ / "apt.log").string() +
                          "\n[ $name = unknown ] && { echo 'E: Unable to locate package unknown' >&2; exit 100; }\n"
                          "[ \"$2\" = --print-uris ] && { echo \"'http://x/y.deb' ${name}_1.0_all.deb 10 SHA256:0\"; exit 0; }\nprintf "
                          "package > ${name}_1.0_all.deb\n");
    script("dpkg-deb",
           "[ \"$1\" = -f ] && { case \"$3\" in Version) echo 1.0;; *) echo 1;; esac; exit 0; }\nmkdir -p $3/usr\nprintf 'packed text' > "
           "$3/usr/a.txt\n");
    old_path_ = std::getenv("PATH");
    setenv("PATH", ((folder_ / "bin").string() + ":" + old_path_).c_str(), 1);
  }
  void TearDown() override { setenv("PATH", old_path_.c_str(), 1); }
  void script(const std::string& name, const std::string& body) {
    spill(folder_ / "bin" / name, "#!/bin/sh\n" + body);
    fs::permissions(folder_ / "bin" / name, fs::perms::owner_all);
  }
  size_t apt_runs() const { return fs::exists(folder_ / "apt.log") ? fs::file_size(folder_ / "apt.log") / 4 : 0; }
  fs::path folder_;
  std::string old_path_;
};

TEST_F(FakeDebian, FetchesOnceUnpacksAndCleansUp) {
  spill(folder_ / "recipe.toml", "[[sources]]\nname = \"p\"\npackage = \"pack\"\nfiles = [\"usr/a.txt\"]\n");
  const Json manifest = build(folder_);
  EXPECT_EQ(read_split(folder_ / "out", "train").at(0).text, "packed text\n");
  const Json& input = manifest.at("sources").at(0).at("inputs").at(0);
  EXPECT_EQ(input.at("version"), "1.0");
  EXPECT_EQ(input.at("xxhash"), fmt::format("{:016x}", xxhash64("package")));
  EXPECT_EQ(apt_runs(), 2u);  // the size, the file
  build(folder_);
  EXPECT_EQ(apt_runs(), 2u);  // from the cache
  EXPECT_TRUE(fetch_package("pack", folder_ / "cache", true).package);
  EXPECT_EQ(apt_runs(), 4u);
  size_t left = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder_ / "cache")) ++left;
  EXPECT_EQ(left, 1u);
}

TEST_F(FakeDebian, FailuresAreOneLine) {
  const std::string unknown = fetch_package("unknown", folder_ / "cache", false).failure;
  EXPECT_NE(unknown.find("Unable to locate package"), std::string::npos);
  EXPECT_EQ(unknown.find('\n'), std::string::npos);
  for (const char* name : {"--force", "../x", "a b", "", "x;ls"})
    EXPECT_NE(failure([&] { fetch_package(name, folder_ / "cache", false); }), "") << name;
  setenv("PATH", (folder_ / "nowhere").c_str(), 1);
  EXPECT_NE(fetch_package("pack", folder_ / "cache", false).failure.find("expected apt-get on this machine"), std::string::npos);
}

TEST_F(FakeDebian, AnOptionalPackageMayBeMissing) {
  const std::string first = "[[sources]]\nname = \"p\"\npackage = \"pack\"\nfiles = [\"usr/a.txt\"]\n",
                    second = "[[sources]]\nname = \"q\"\npackage = \"unknown\"\nfiles = [\"usr\"]\n";
  spill(folder_ / "recipe.toml", first + second);
  EXPECT_NE(failure([&] { build(folder_); }), "");
  spill(folder_ / "recipe.toml", first + second + "optional = true\n");
  EXPECT_TRUE(build(folder_).at("sources").at(1).contains("left_out"));
  // Only a package that cannot be had is left out: one without the files that the recipe names is a mistake.
  spill(folder_ / "recipe.toml", first + "[[sources]]\nname = \"r\"\npackage = \"pack\"\noptional = true\nfiles = [\"nowhere\"]\n");
  EXPECT_NE(failure([&] { build(folder_); }).find("nowhere"), std::string::npos);
}

TEST(CorpusBuild, NeverWritesIntoItsInput) {
  const fs::path folder = fresh("corpus_build_inside");
  make_directories(folder / "a" / "deep");
  spill(folder / "a" / "deep" / "x.txt", "some text");
  fs::create_directory_symlink("a", folder / "link");
  for (const auto& [input, out] : {std::pair("a", "a"), std::pair("a/deep/x.txt", "a"), std::pair("a/deep", "a"), std::pair("link", "a"),
                                   std::pair("a/deep/x.txt", "link/"), std::pair("a/../a/", "link")}) {
    ReadReport report;
    const auto act = [&] { build_corpus(recipe_of_paths({folder / input}, "x", 0), {folder / out, "", false}, report); };
    EXPECT_NE(failure(act).find("apart from the input"), std::string::npos) << input << " " << out;
  }
  EXPECT_EQ(std::distance(fs::recursive_directory_iterator(folder / "a"), {}), 2);
  ReadReport report;
  build_corpus(recipe_of_paths({folder / "a"}, "x", 0), {folder / "a" / "out", "", false}, report);  // below the input: left out, as ever
  build_corpus(recipe_of_paths({folder / "a"}, "x", 0), {folder / "a" / "out", "", false}, report);
  EXPECT_NE(report.table().find("the output folder"), std::string::npos);
}

}  // namespace
}  // namespace finback
