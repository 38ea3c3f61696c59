#include "base/file.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "base/error.h"

namespace finback {
namespace {

namespace fs = std::filesystem;

struct Files : testing::Test {
  fs::path folder = fs::temp_directory_path() / fmt::format("finback-file-{}", ::getpid());
  void SetUp() override {
    fs::remove_all(folder);
    fs::create_directories(folder);
  }
  void TearDown() override {
    arm_failpoint("nowhere:1:kill");
    fs::remove_all(folder);
  }
  size_t entries() const { return size_t(std::distance(fs::directory_iterator(folder), fs::directory_iterator())); }
};

TEST_F(Files, AtomicWriteReplacesTheWholeFile) {
  write_file_atomic(folder / "a", "first, longer");
  write_file_atomic(folder / "a", "second");
  EXPECT_EQ(read_file(folder / "a"), "second");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(Files, AnUncommittedFileLeavesNothing) {
  {
    AtomicFile file(folder / "a");
    file.write("half");
    EXPECT_EQ(file.size(), 4u);
  }
  EXPECT_EQ(entries(), 0u);
}

TEST_F(Files, WritersOfOneFileAtOnceWaitForEachOther) {
  std::vector<std::thread> writers;
  std::atomic<int> failed = 0;
  for (int i = 0; i < 6; ++i) {
    writers.emplace_back([&, i] {
      try {
        for (int n = 0; n < 8; ++n) {
          AtomicFile file(folder / "a");
          for (int piece = 0; piece <= i; ++piece) file.write(std::string(100, char('a' + i)));
          file.commit();
        }
      } catch (const Error&) {
        ++failed;
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(failed, 0);
  const std::string bytes = read_file(folder / "a");
  EXPECT_EQ(bytes, std::string(100 * size_t(bytes[0] - 'a' + 1), bytes[0])) << "the last one's bytes and nobody else's";
  EXPECT_EQ(entries(), 1u);
}

TEST_F(Files, AFailedRenameLeavesNoTemporary) {
  fs::create_directories(folder / "a" / "inside");
  EXPECT_THROW(write_file_atomic(folder / "a", "x"), Error);
  EXPECT_EQ(entries(), 1u);
}

// Renaming over it would take the device's place.
TEST_F(Files, ADeviceIsWrittenToAndStaysOne) {
  write_file_atomic("/dev/null", "x");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  EXPECT_THROW(write_file_atomic("/dev/full", "x"), Error);
  EXPECT_TRUE(fs::is_character_file("/dev/full"));
  EXPECT_FALSE(fs::exists("/dev/full.tmp"));
}

TEST_F(Files, EarlierBytesCanBeOverwrittenBeforeCommit) {
  AtomicFile file(folder / "a");
  file.write("....body");
  file.write_at(0, "head", 4);
  file.commit();
  EXPECT_EQ(read_file(folder / "a"), "headbody");
}

TEST_F(Files, AShortWriteAndAFullDiskKeepTheOldFileAndSaySo) {
  write_file_atomic(folder / "a", "old");
  for (const char* action : {"short", "full"}) {
    arm_failpoint(fmt::format("write:1:{}", action));
    try {
      write_file_atomic(folder / "a", "new and longer");
      FAIL() << "wrote";
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find("No space left on device"), std::string::npos) << e.what();
      EXPECT_NE(std::string(e.what()).find((folder / "a").string()), std::string::npos) << e.what();
    }
    EXPECT_EQ(read_file(folder / "a"), "old");
    EXPECT_EQ(entries(), 1u);
  }
}

TEST_F(Files, AFailpointFiresAtItsPassageAndOnlyOnce) {
  arm_failpoint("spot:3:full");
  EXPECT_EQ(failpoint("spot"), FailAction::kNone);
  EXPECT_EQ(failpoint("other"), FailAction::kNone);
  EXPECT_EQ(failpoint("spot"), FailAction::kNone);
  EXPECT_EQ(failpoint("spot"), FailAction::kFull);
  EXPECT_EQ(failpoint("spot"), FailAction::kNone);
  for (const char* bad : {"", "spot", "spot:1", "spot:0:kill", "spot:x:kill", "spot:1x:kill", "spot:1:melt", ":1:kill:"}) {
    EXPECT_THROW(arm_failpoint(bad), Error) << bad;
  }
}

using FilesDeathTest = Files;

TEST_F(FilesDeathTest, KilledAtEachFailpointTheFileIsOldOrNew) {
  for (const std::string point : {"write", "before-fsync", "before-rename", "after-rename"}) {
    write_file_atomic(folder / "a", "old");
    const auto write_and_die = [&] {
      arm_failpoint(point + ":1:kill");
      write_file_atomic(folder / "a", "new");
    };
    EXPECT_EXIT(write_and_die(), testing::KilledBySignal(SIGKILL), "") << point;
    EXPECT_EQ(read_file(folder / "a"), point == "after-rename" ? "new" : "old") << point;
  }
}

TEST_F(Files, ErrorsNameThePathAndTheReason) {
  const auto message = [](const std::function<void()>& body) -> std::string {
    try {
      body();
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_NE(message([&] { read_file(folder / "none"); }).find("none: cannot open: No such file"), std::string::npos);
  EXPECT_NE(message([&] { read_file(folder); }).find("cannot read: Is a directory"), std::string::npos);
  EXPECT_NE(message([&] { write_file_atomic(folder / "no" / "a", "x"); }).find("cannot create"), std::string::npos);
  EXPECT_NE(message([&] { MappedFile map(folder); }).find("expected a regular file"), std::string::npos);
  write_file_atomic(folder / "a", "x");
  EXPECT_NE(message([&] { make_directories(folder / "a"); }).find("cannot make this folder"), std::string::npos);
}

TEST_F(Files, MapsShowTheBytesAndMove) {
  write_file_atomic(folder / "a", "hello");
  MappedFile first(folder / "a");
  const MappedFile map(std::move(first));
  EXPECT_TRUE(first.bytes().empty());
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(map.bytes().data()), map.bytes().size()), "hello");
  write_file_atomic(folder / "empty", "");
  EXPECT_TRUE(MappedFile(folder / "empty").bytes().empty());
}

// xxh3_64 of the empty input with seed 0 is a published value.
TEST_F(Files, HashesAreXxh3) {
  EXPECT_EQ(xxhash64(std::string_view("")), 0x2d06800538d394c2u);
  write_file_atomic(folder / "a", "hello");
  EXPECT_EQ(hash_file(folder / "a"), xxhash64(std::string_view("hello")));
  EXPECT_NE(xxhash64(std::string_view("hello")), xxhash64(std::string_view("hello"), 1));
}

// Whoever reads a file that stands for a large one hears so, and not its own parser's story.
TEST_F(Files, PointersToLargeFilesAreNamed) {
  const std::pair<std::string, const char*> cases[] = {
      {"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123456\n",
       "a pointer of git-lfs that stands for a large file of 123456 bytes"},
      {"version https://hawser.github.com/spec/v1\noid sha256:00\nsize 7\n", "git-lfs that stands for a large file of 7 bytes"},
      {"/annex/objects/SHA256E-s99--ab.bin\n", "git-annex"},
      {"# xet version 0\nfilesize = 3\n", "Xet"}};
  const std::filesystem::path file = folder / "pointer";
  for (const auto& [text, expected] : cases) {
    write_file_atomic(file, text);
    for (const bool mapped : {false, true}) {
      try {
        mapped ? void(MappedFile(file)) : void(read_file(file));
        ADD_FAILURE() << "read: " << text;
      } catch (const Error& e) {
        EXPECT_NE(std::string(e.what()).find(expected), std::string::npos) << e.what();
      }
    }
  }
  write_file_atomic(file, "version 2 of my notes\n");
  EXPECT_EQ(read_file(file), "version 2 of my notes\n");
}

// A link stays a link: what it leads to is written.
TEST(FileLinks, AreWrittenThrough) {
  const fs::path root = fs::temp_directory_path() / ("finback-links-" + std::to_string(::getpid()));
  fs::create_directories(root / "folder");
  write_file_atomic(root / "ids.json", "{}");
  fs::create_directory_symlink("folder", root / "latest");
  fs::create_symlink("ids.json", root / "link.json");
  EXPECT_THROW(write_file_atomic(root / "latest", "x"), Error);
  write_file_atomic(root / "link.json", "[1]");
  EXPECT_TRUE(fs::is_symlink(root / "link.json"));
  EXPECT_EQ(read_file(root / "ids.json"), "[1]");
  fs::remove_all(root);
}

}  // namespace
}  // namespace finback
