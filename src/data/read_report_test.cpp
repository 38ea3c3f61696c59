#include "data/read_report.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/status_line.h"
#include "data/test_folder.h"

namespace finback {
using namespace test;
namespace {

// The message of a report with so many records, of which so many are bad.
std::string outcome(const BadLimit& limit, int64_t records, int64_t bad) {
  return failure([&] {
    ReadReport report(limit);
    for (int64_t i = 1; i <= records; ++i) {
      report.record_read();
      if (i <= bad) report.bad_record(true, "not JSON", fmt::format("x.jsonl: line {}", i));
    }
    report.check();
  });
}

TEST(ReadReport, BearsAShareOfBadRecordsAndAFewInAnyCase) {
  EXPECT_EQ(outcome({}, 30, 10), "");
  EXPECT_NE(outcome({}, 30, 11).find("x.jsonl: line 1"), std::string::npos);
  EXPECT_EQ(outcome({}, 5000, 50), "");
  EXPECT_NE(outcome({}, 5000, 51).find("got 51"), std::string::npos);
  EXPECT_EQ(outcome(parse_bad_limit("3"), 5, 3), "");
  EXPECT_NE(outcome(parse_bad_limit("3"), 5, 4), "");
  EXPECT_EQ(outcome(parse_bad_limit("50%"), 10, 5), "");
  EXPECT_NE(outcome(parse_bad_limit("50%"), 10, 6), "");
  EXPECT_NE(outcome(parse_bad_limit("0"), 100, 1).find("--strict"), std::string::npos);
  EXPECT_NE(outcome({}, 1000000, 1000000).find("got 1001"), std::string::npos) << "hopeless: not read to the end";
}

TEST(ReadReport, LimitsAreNumbersOrShares) {
  for (const char* text : {"", "-1", "1.5", "0.05", "101%", "ten", "5 records", "nan", "inf%"}) {
    EXPECT_NE(failure([&] { parse_bad_limit(text); }).find("--max-bad"), std::string::npos) << text;
  }
}

TEST(ReadReport, TableAndJsonHaveEveryReasonOnce) {
  ReadReport report;
  report.file_read(10);
  report.left_out("hidden", "a");
  report.left_out("hidden", "b");
  report.repaired("bytes", "c");
  EXPECT_NE(report.table().find("left out         2  hidden: a, b\nrepaired         1  bytes: c\n"), std::string::npos) << report.table();
  EXPECT_EQ(report.json().at("left_out").at(0).at("count"), 2);
  EXPECT_EQ(report.json().at("repaired").at(0).at("first").at(0), "c");
  EXPECT_FALSE(report.nothing_to_say());
}

TEST(ReadReport, QuietLeavesWhatIsAWarning) {
  ReadReport report;
  report.file_read(10);
  report.left_out("hidden", "a");
  report.changed("line ends", "b");
  report.repaired("bytes", "c");
  set_quiet(true);
  const std::string table = report.table();
  set_quiet(false);
  EXPECT_EQ(table, "left out         1  hidden: a\nrepaired         1  bytes: c\n");
}

TEST(ReadReport, ControlBytesOfNamesAreEscaped) {
  ReadReport report(parse_bad_limit("0"));
  report.left_out("ending .\x07 is not taken", "\x1b[31mred\nfile\x7f é");
  EXPECT_NE(report.table().find("ending .\\x07 is not taken: \\x1b[31mred\\x0afile\\x7f é\n"), std::string::npos) << report.table();
  EXPECT_NE(failure([&] { report.bad_record(true, "empty", "\x1b.jsonl"); }).find("\\x1b.jsonl"), std::string::npos);
  EXPECT_NE(report.why_nothing().find("\\x07"), std::string::npos);
}

}  // namespace
}  // namespace finback
