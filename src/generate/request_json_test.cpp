#include "generate/request_json.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace finback {
namespace {

AskedSampling read(const std::string& json, const AskedSampling& defaults = {}) {
  return read_sampling(parse_json(json, "request"), defaults);
}

std::string refusal(const std::string& json) {
  try {
    read(json);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(RequestJson, ReadsEveryFieldByItsName) {
  const AskedSampling asked = read(R"({"max_tokens": 7, "temperature": 0.5, "top_p": 0.9, "top_k": 3, "min_p": 0.1, "presence_penalty": 1,
    "frequency_penalty": -1, "repetition_penalty": 1.5, "logit_bias": {"5": 2, "6": -100}, "seed": -1, "stop": ["a", "b"],
    "stop_token_ids": [4], "ignore_eos": true, "min_tokens": 2, "n": 3, "logprobs": true, "top_logprobs": 4, "prompt": "x"})");
  const Request& request = asked.request;
  EXPECT_EQ(request.max_tokens, 7);
  EXPECT_EQ(request.sampling.temperature, 0.5);
  EXPECT_EQ(request.sampling.top_p, 0.9);
  EXPECT_EQ(request.sampling.top_k, 3);
  EXPECT_EQ(request.sampling.min_p, 0.1);
  EXPECT_EQ(request.sampling.presence_penalty, 1);
  EXPECT_EQ(request.sampling.frequency_penalty, -1);
  EXPECT_EQ(request.sampling.repetition_penalty, 1.5);
  EXPECT_EQ(request.sampling.logit_bias, (std::vector<std::pair<int32_t, double>>{{5, 2}, {6, -100}}));
  EXPECT_EQ(request.key.seed, ~uint64_t{0});
  EXPECT_EQ(asked.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(request.stop_ids, std::vector<int32_t>{4});
  EXPECT_EQ(request.sampling.min_tokens, 2);
  EXPECT_EQ(request.top_logprobs, 4);
  EXPECT_TRUE(asked.ignore_eos);
  EXPECT_TRUE(asked.seed_given);
  EXPECT_EQ(asked.n, 3);
}

TEST(RequestJson, WhatIsAbsentOrNullIsTheDefault) {
  AskedSampling defaults;
  defaults.request.sampling.temperature = 0.3;
  defaults.stop = {"end"};
  const AskedSampling asked = read(R"({"temperature": null, "stop": "more"})", defaults);
  EXPECT_EQ(asked.request.sampling.temperature, 0.3);
  EXPECT_EQ(asked.stop, (std::vector<std::string>{"end", "more"}));
  EXPECT_FALSE(asked.seed_given);
}

TEST(RequestJson, NamesTheFieldThatIsWrong) {
  for (const auto& [field, value] : std::vector<std::pair<std::string, std::string>>{{"temperature", "\"hot\""},
                                                                                     {"temperature", "-1"},
                                                                                     {"top_k", "1.5"},
                                                                                     {"n", "17"},
                                                                                     {"n", "0"},
                                                                                     {"top_logprobs", "21"},
                                                                                     {"stop", "[1]"},
                                                                                     {"stop", "\"\""},
                                                                                     {"stop_token_ids", "3"},
                                                                                     {"logit_bias", "[]"},
                                                                                     {"logit_bias", "{\"x\": 1}"},
                                                                                     {"logit_bias", "{\"5\": 101}"},
                                                                                     {"ignore_eos", "1"},
                                                                                     {"frequency_penalty", "3"},
                                                                                     {"seed", "18446744073709551615"},
                                                                                     {"max_tokens", "0"}}) {
    EXPECT_EQ(refusal(fmt::format("{{\"{}\": {}}}", field, value)).substr(0, field.size() + 2), field + ": ") << value;
  }
}

TEST(RequestJson, ABiasOfMoreThan1024IdsIsRefused) {
  std::string biases;
  for (int id = 0; id < 1025; ++id) biases += fmt::format("{}\"{}\": 1", id ? ", " : "", id);
  EXPECT_NE(refusal(fmt::format("{{\"logit_bias\": {{{}}}}}", biases)).find("at most 1024"), std::string::npos);
}

}  // namespace
}  // namespace finback
