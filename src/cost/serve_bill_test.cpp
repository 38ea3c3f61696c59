#include "cost/serve_bill.h"

#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <thread>
#include <vector>

#include "base/file.h"

namespace finback {
namespace {

ServeUsage an_hour() {
  ServeUsage u;
  u.model = "tiny", u.devices = 2, u.requests = 3;
  u.hit_tokens = 4'000'000, u.missed_tokens = 1'000'000, u.output_tokens = 500'000;
  u.wall_seconds = 3600, u.cache_seconds = 180, u.prefill_seconds = 900, u.decode_seconds = 1800;
  return u;
}

// Two devices at $1: each token pays its kind's busy seconds; with the idle fifth the three sum up to the whole bill.
TEST(ServeBill, TokensPayForTheirOwnBusySeconds) {
  const ServeUsage u = an_hour();
  const ServeBill bill = serve_bill(u, 1.0);
  EXPECT_DOUBLE_EQ(bill.usd, 2);
  EXPECT_DOUBLE_EQ(bill.busy.hit, 0.1 / 4);
  EXPECT_DOUBLE_EQ(bill.busy.missed, 0.5);
  EXPECT_DOUBLE_EQ(bill.busy.output, 2);
  EXPECT_DOUBLE_EQ(bill.usd_saved, 4 * (0.5 - 0.025));
  EXPECT_DOUBLE_EQ(bill.busy_share, 0.8);
  const Json loaded = serve_bill_json(u, bill)["usd_per_million_with_idle_time"];
  EXPECT_NEAR(4 * loaded["input_hit"].get<double>() + loaded["input_miss"].get<double>() + 0.5 * loaded["output"].get<double>(), bill.usd,
              1e-12);
}

TEST(ServeBill, NoTokensCostNothing) {
  const ServeBill bill = serve_bill(ServeUsage{}, 0);
  EXPECT_EQ(bill.usd + bill.busy.hit + bill.busy.missed + bill.busy.output + bill.usd_saved, 0);
  EXPECT_GT(bill.price.usd_per_hour, 0);
  EXPECT_NE(serve_bill_table(ServeUsage{}, bill).find("0.0 % busy"), std::string::npos);
}

TEST(ServeUsage, AddsUpForOneModelAndMachine) {
  ServeUsage sum = an_hour(), other = an_hour();
  add_usage(sum, an_hour());
  EXPECT_EQ(sum.hit_tokens, 8'000'000);
  EXPECT_EQ(serve_bill(sum, 1).busy.output, serve_bill(an_hour(), 1).busy.output);
  other.devices = 4;
  EXPECT_THROW(add_usage(sum, other), Error);
}

TEST(ServeUsage, ProcessesThatEndAtOnceAllCount) {
  const auto folder = std::filesystem::temp_directory_path() / "finback_serve_usage_at_once";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  std::vector<std::thread> ends;  // each opens the lock anew, as a process of its own does
  std::atomic<int> failed = 0;
  for (int i = 0; i < 8; ++i) {
    ends.emplace_back([&] {
      try {
        for (int n = 0; n < 5; ++n) add_to_usage_file(folder / "u.json", an_hour());
      } catch (const Error&) {
        ++failed;
      }
    });
  }
  for (std::thread& end : ends) end.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(read_usage(folder / "u.json").hit_tokens, 40 * an_hour().hit_tokens);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator()), 1) << "no lock is left";
  std::filesystem::remove_all(folder);
}

TEST(ServeUsage, ReadsWhatItWroteAndRefusesWhatCannotBe) {
  const auto path = std::filesystem::temp_directory_path() / "finback_serve_usage_test.json";
  const auto message = [&](auto change) -> std::string {
    ServeUsage u = an_hour();
    change(u);
    write_usage(path, u);
    try {
      EXPECT_EQ(read_usage(path).decode_seconds, u.decode_seconds);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_EQ(message([](ServeUsage&) {}), "");
  EXPECT_NE(message([](ServeUsage& u) { u.format_version = 2; }).find("usage format 1"), std::string::npos);
  EXPECT_NE(message([](ServeUsage& u) { u.hit_tokens = -1; }).find("no negative counters"), std::string::npos);
  EXPECT_NE(message([](ServeUsage& u) { u.decode_seconds = 3000; }).find("within wall_seconds"), std::string::npos);
  EXPECT_NE(message([](ServeUsage& u) { u.prefill_seconds = 0; }).find("prefill_seconds with"), std::string::npos);
  std::ofstream(path) << "{\"tokens\": 3}";
  EXPECT_THROW(read_usage(path), Error);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace finback
