#include "data/folder_walk.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "data/test_folder.h"

namespace finback {
using namespace test;
namespace {
namespace fs = std::filesystem;

void put(const fs::path& path) {
  make_directories(path.parent_path());
  spill(path, path.filename().string());
}

std::vector<std::string> walk(const fs::path& folder, ReadReport& report, WalkRules rules = {}) {
  std::vector<std::string> names;
  for (const fs::path& path : walk_folder(folder, rules, report)) names.push_back(path.lexically_relative(folder).string());
  return names;
}

TEST(FolderWalk, SaysWhatItLeavesOut) {
  const fs::path folder = fresh("folder_walk");
  for (const char* name :
       {"a.txt", "B.TXT", "c.Md.GZ", "sub/d.ndjson", "e.JSONL.zst", "page.html", "two.html", "README", ".hidden.txt", ".git/x.txt",
        "__MACOSX/._a.txt", "._a.txt", "skipped/s.txt", "old/manifest.json", "old/train.jsonl.zst", "out/partial.txt"}) {
    put(folder / name);
  }
  ASSERT_EQ(::mkfifo((folder / "pipe.txt").c_str(), 0600), 0);
  fs::create_symlink("nowhere.txt", folder / "dangling.txt");
  fs::create_symlink("a.txt", folder / "0-first.txt");
  fs::create_hard_link(folder / "a.txt", folder / "z.txt");
  WalkRules rules;
  rules.skip = {"skipped/"};
  rules.output = folder / "out";
  ReadReport report;
  EXPECT_EQ(walk(folder, report, rules), (std::vector<std::string>{"B.TXT", "a.txt", "c.Md.GZ", "e.JSONL.zst", "sub/d.ndjson"}));
  const std::string table = report.table();
  for (const char* says : {"2  ending .html is not taken", "ending (none) is not taken", "2  hidden", "2  resource forks",
                           "1  skip of the recipe", "1  a corpus that finback has built", "1  the output folder", "1  no regular file",
                           "1  a link that leads nowhere", "1  a link to a file that is read already", "1  another name of a file"}) {
    EXPECT_NE(table.find(says), std::string::npos) << says << "\n" << table;
  }
}

TEST(FolderWalk, FollowsLinksOutOfTheFolderAndNeverInACircle) {
  const fs::path folder = fresh("folder_walk_links");
  put(folder / "blobs/0");
  put(folder / "elsewhere/b.txt");
  put(folder / "texts/a.txt");
  fs::create_symlink("../blobs/0", folder / "texts/part.jsonl");
  fs::create_symlink("../elsewhere", folder / "texts/linked");
  fs::create_symlink("..", folder / "elsewhere/up");
  fs::create_symlink(".", folder / "texts/self");
  ReadReport report;
  EXPECT_EQ(walk(folder / "texts", report), (std::vector<std::string>{"a.txt", "linked/b.txt", "part.jsonl"}));
  EXPECT_NE(report.table().find("a link to a folder that is read already"), std::string::npos);
  WalkRules package;
  package.follow_links = false;
  EXPECT_EQ(walk(folder / "texts", report, package), (std::vector<std::string>{"a.txt"}));
  EXPECT_NE(report.table().find("a link, which is not followed"), std::string::npos);
}

}  // namespace
}  // namespace finback
