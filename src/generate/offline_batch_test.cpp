#include "generate/offline_batch.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "base/file.h"
#include "data/test_folder.h"
#include "generate/conversation.h"
#include "generate/generate_text.h"
#include "model/test_models.h"

namespace finback {
namespace {
namespace fs = std::filesystem;

class OfflineBatches : public testing::Test {
 protected:
  OfflineBatches() {
    model.tokenizer.emplace(Tokenizer::load(FINBACK_SOURCE_DIR "/tests/golden/tokenizer/deepseek.json"));
    model.transformer =
        test::lively_model(test::small_config(fmt::format(R"({{"vocab_size": {}}})", model.tokenizer->vocab_size())), false);
    batch.prompts = folder / "in.jsonl", batch.out = folder / "out.jsonl";
    batch.defaults.request.key.seed = 3, batch.seed_given = true;
    batch.defaults.request.max_tokens = 12, batch.max_tokens_given = true;
  }
  OfflineCounts run() {
    check_offline_batch(batch);
    Engine engine(*model.transformer, {.step_tokens = 20, .max_sequences = 3, .cache_bytes = 1 << 20});
    return run_offline_batch(batch, model, engine);
  }
  void write(const std::string& lines) { std::ofstream(batch.prompts, std::ios::binary) << lines; }
  // Lines by id and index, without what a moment decides.
  std::map<std::string, Json> answers() const {
    std::map<std::string, Json> answers;
    std::ifstream in(batch.out);
    for (std::string line; std::getline(in, line);) {
      Json json = parse_json(line, "out");
      json.erase("finback");
      if (json.contains("usage")) json["usage"] = json["usage"]["completion_tokens"];
      const std::string key = dump_json_line(json["id"]) + (json.contains("index") ? dump_json_line(json["index"]) : "");
      EXPECT_TRUE(answers.emplace(key, json).second) << key << " is there twice";
    }
    return answers;
  }
  std::string refusal() {
    try {
      run();
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  }

  fs::path folder = test::fresh("offline_batch");
  TextModel model;
  OfflineBatch batch;
};

const char* const kLines = R"({"id": "a", "prompt": "It was a dark night", "n": 3}
{"prompt": "and then", "temperature": 0}

{"id": "chat", "messages": [{"role": "user", "content": "hello"}], "seed": 77, "frequency_penalty": 0.5}
{"id": 9, "ids": [5, 6, 7], "max_tokens": 30, "stop_token_ids": [1]}
)";

TEST_F(OfflineBatches, AnswersAreThoseOfOneByOne) {
  write(kLines);
  EXPECT_EQ(run().answers, 6);
  const std::map<std::string, Json> all = answers();
  ASSERT_EQ(all.size(), 6u);
  Engine engine(*model.transformer, {});
  const auto alone = [&](const Json& line, Request request) {
    request.key = {line["seed"].get<uint64_t>(), line["index"].get<uint32_t>()};
    return answer_json(generate_text(engine, &*model.tokenizer, std::move(request), {}).answer);
  };
  const auto expect_same = [&](const Json& line, const Request& request) {
    const Json answer = alone(line, request);
    for (const char* key : {"ids", "logprobs", "text", "finish_reason"}) EXPECT_EQ(line[key], answer[key]) << dump_json_line(line["id"]);
  };
  for (const char* key : {"\"a\"0", "\"a\"1", "\"a\"2"}) {
    expect_same(all.at(key), {.prompt = text_prompt(*model.tokenizer, "It was a dark night"), .max_tokens = 12});
  }
  EXPECT_NE(all.at("\"a\"0")["ids"], all.at("\"a\"1")["ids"]);
  expect_same(all.at("10"), {.prompt = text_prompt(*model.tokenizer, "and then"), .max_tokens = 12, .sampling = {.temperature = 0}});
  Conversation conversation;
  conversation.add("user", "hello");
  EXPECT_EQ(all.at("\"chat\"0")["seed"], 77);
  expect_same(all.at("\"chat\"0"),
              {.prompt = conversation.prompt(*model.tokenizer), .max_tokens = 12, .sampling = {.frequency_penalty = 0.5}});
  expect_same(all.at("90"), {.prompt = {5, 6, 7}, .max_tokens = 30, .stop_ids = {1}});
}

// Wherever a run was killed, the next one has all lines once, and the same ones.
TEST_F(OfflineBatches, GoesOnWhereItWasKilled) {
  write(kLines);
  run();
  const std::map<std::string, Json> whole = answers();
  const std::string text = read_file(batch.out);
  for (size_t cut = 0; cut < text.size(); cut += 97) {
    std::ofstream(batch.out, std::ios::binary) << text.substr(0, cut);
    run();
    EXPECT_EQ(answers(), whole) << cut;
  }
  EXPECT_EQ(run().answers, 0);
  EXPECT_EQ(run().kept, 4);
  EXPECT_EQ(answers(), whole);
}

TEST_F(OfflineBatches, AnErrorIsItsLines) {
  write(R"(no json
{"id": "x", "prompt": "a", "temprature": 1}
{"id": "y", "prompt": "a", "ids": [1]}
{"id": "z", "ids": [999999]}
{"id": "ok", "prompt": "a"}
)");
  const OfflineCounts counts = run();
  EXPECT_EQ(counts.answers, 1);
  EXPECT_EQ(counts.errors, 4);
  const std::map<std::string, Json> all = answers();
  EXPECT_NE(all.at("\"x\"")["error"].get<std::string>().find("temprature"), std::string::npos);
  EXPECT_NE(all.at("\"y\"")["error"].get<std::string>().find("one of prompt, messages and ids"), std::string::npos);
  EXPECT_NE(all.at("\"z\"")["error"].get<std::string>().find("999999"), std::string::npos);
  EXPECT_TRUE(all.contains("0"));
  // Tried again, and told once.
  const OfflineCounts again = run();
  EXPECT_EQ(again.kept, 1);
  EXPECT_EQ(again.errors, 4);
  EXPECT_EQ(answers(), all);
}

TEST_F(OfflineBatches, RefusesWhatItCannotTellApart) {
  write("{\"id\": \"x\", \"prompt\": \"a\"}\n\n{\"id\": \"x\", \"prompt\": \"b\"}\n");
  EXPECT_NE(refusal().find("in.jsonl:3: expected an id of its own, \"x\" is that of line 1"), std::string::npos) << refusal();
  EXPECT_FALSE(fs::exists(batch.out));
  write("");
  EXPECT_NE(refusal().find("got none"), std::string::npos);
}

TEST_F(OfflineBatches, RefusesOtherSettingsWeightsAndFiles) {
  write("{\"prompt\": \"a\"}\n");
  run();
  batch.defaults.request.sampling.temperature = 0.5;
  EXPECT_NE(refusal().find("expected temperature 1.0, as its answers were made with, got 0.5"), std::string::npos) << refusal();
  batch.defaults.request.sampling.temperature = 1;
  batch.seed_given = false, batch.defaults.request.key.seed = 8;
  EXPECT_EQ(run().seed, 3u);  // a run that goes on keeps its seed
  test::make_lively(model.transformer->parameters(), 8);
  EXPECT_NE(refusal().find("expected fingerprint"), std::string::npos);
  batch.out = folder / "other.jsonl";
  std::ofstream(batch.out) << "{\"a\": 1}\n";
  EXPECT_NE(refusal().find("is there already"), std::string::npos);
}

}  // namespace
}  // namespace finback
