// The planner against the published record: counts, anchors and the comparison of two famous runs. Step times of left-out rows: tests/e2e/plan_test.py.
#include <gtest/gtest.h>

#include "base/file.h"
#include "plan/plan_rows.h"
#include "plan/plan_spec.h"
#include "plan/shape_table.h"

namespace finback {
namespace {

ModelShape shape(const char* key) { return *find_shape(key, ""); }

TEST(CostGates, FlopsOfATokenAreThePublishedOnes) {
  struct Row {
    const char* key;
    double seq_len, gflop, within;
    bool causal = true;
  };
  for (const Row& row : {Row{"dsv3", 4096, 249.7, 0.005}, Row{"dsv3", 4096, 280.2, 0.005, false}, Row{"dsv3mtp", 4096, 260.0, 0.005},
                         Row{"dsv2", 4096, 155, 0.005}, Row{"l3-405", 4096, 2448, 0.011}, Row{"l3-405", 8192, 2521, 0.005},
                         Row{"l3-70", 8192, 448.8, 0.005}, Row{"l3-8", 8192, 51.48, 0.005}, Row{"qwen30", 4096, 22.99, 0.005},
                         Row{"qwen235", 4096, 148.3, 0.005}, Row{"gptoss120", 4096, 32.6, 0.005}})
    EXPECT_NEAR(train_flops(shape(row.key), row.seq_len, row.causal, true) / 1e9 / row.gflop, 1, row.within)
        << row.key << " at " << row.seq_len;
}

TEST(CostGates, ParameterCountsAreThePublishedOnes) {
  for (const auto& [key, billions] : {std::pair{"dsv3", 671.0}, {"dsv2", 235.7}, {"l3-405", 405.8}, {"gptoss120", 116.8}, {"olmoe", 6.92}})
    EXPECT_NEAR(count_parameters(shape(key)).total / 1e9 / billions, 1, 0.001) << key;
  EXPECT_NEAR(count_parameters(shape("gptoss120")).active / 1e9, 5.13, 0.01);
}

TEST(CostGates, V3PretrainingAndContextExtension) {
  const std::vector<PhaseRequest> phases = phases_of(load_plan_spec("configs/plans/deepseek-v3.toml"));
  ASSERT_EQ(phases.size(), 3u);
  const PhasePlan main = plan_phase(phases[0], fitted_parameters());
  EXPECT_NEAR(main.chosen.tokens_per_s / 1541.7, 1, 0.10);
  EXPECT_NEAR(main.ideal_hours / 2.664e6, 1, 0.10);
  EXPECT_NE(plan_text({main}).find("assumed by a run"), std::string::npos);
  const double extension = plan_phase(phases[1], fitted_parameters()).ideal_hours + plan_phase(phases[2], fitted_parameters()).ideal_hours;
  EXPECT_NEAR(extension / 119e3, 1, 0.25);
}

// Without a layout the planner finds one as good as DeepSeek's own, with the schedule that DeepSeek published; software of before has none.
TEST(CostGates, V3LayoutSearchedIsAsFastAsTheReports) {
  PlanSpec spec = load_plan_spec("configs/plans/deepseek-v3.toml");
  const double given = plan_phase(phases_of(spec)[0], fitted_parameters()).chosen.tokens_per_s;
  spec.layout = "";
  const auto searched = [&] { return plan_phase(phases_of(spec)[0], fitted_parameters()).chosen; };
  EXPECT_FALSE(searched().layout.dual_pipe());
  spec.software = "2025-06";
  EXPECT_TRUE(searched().layout.dual_pipe());
  EXPECT_GE(searched().tokens_per_s, given);
  EXPECT_NEAR(searched().tokens_per_s / 1541.7, 1, 0.15);
}

TEST(CostGates, DualPipeHoldsItsWeightsTwice) {
  TrainSetup s = phases_of(load_plan_spec("configs/plans/deepseek-v3.toml"))[0].setup;
  const StageMemory twice = stage_memory(s, 0);
  s.layout.hide_experts = false;
  const StageMemory once = stage_memory(s, 0);
  EXPECT_EQ(twice.weights, 2 * once.weights);
  EXPECT_EQ(twice.optimizer, once.optimizer);
  EXPECT_NEAR(twice.activations / once.activations, 17.0 / 16, 1e-9);  // V3 report, table 2: PP + 1
}

// Under 1F1B a stage keeps one micro-batch fewer than the one before; the last one's logits may weigh more than that.
TEST(CostGates, MemoryOfStages) {
  TrainSetup s = phases_of(load_plan_spec("configs/plans/deepseek-v3.toml"))[0].setup;
  s.layout.hide_experts = false;
  const double of_one = stage_memory(s, 0, 15).activations;
  for (int64_t stage = 0; stage < 16; ++stage) EXPECT_NEAR(stage_memory(s, 0, stage).activations / of_one, 16 - stage, 1e-9) << stage;
  EXPECT_EQ(fullest_stage(s, 0).total(), stage_memory(s, 0, 0).total());
  EXPECT_EQ(stage_memory(s, 0, 15).buffers, 4096.0 * 129280 * 10);
  s.shape.vocab *= 256;
  EXPECT_EQ(fullest_stage(s, 0).total(), stage_memory(s, 0, 15).total());
}

TEST(CostGates, Llama405BStepAndCampaign) {
  const PhasePlan plan = plan_phase(phases_of(load_plan_spec("configs/plans/llama-3.1-405b.toml"))[0], fitted_parameters());
  EXPECT_NEAR(plan.chosen.tokens_per_s * plan.flops_causal / 400e12, 1, 0.10);
  EXPECT_EQ(plan.request.goodput, 0.89);
  EXPECT_NEAR(plan.hours / 30.84e6, 1, 0.15);
}

TEST(CostGates, KorthikantiMemory) {
  struct Row {
    const char* key;
    int64_t gpus, pp, vp, batch, micro;
    double state, activations, selective;  // GiB
  };
  for (const Row& row : {Row{"meg22", 8, 1, 1, 4, 4, 45.6, 59.3, 9.6}, Row{"meg175", 64, 8, 3, 64, 1, 45.6, 66.8, 12.4},
                         Row{"mtnlg", 280, 35, 3, 280, 1, 31.6, 114.0, 23.1}}) {
    TrainSetup s;
    s.shape = shape(row.key), s.gpu = accelerator("a100"), s.gpus = row.gpus, s.seq_len = 2048, s.batch_seqs = row.batch,
    s.software_date = 2022.4;
    s.layout.tp = 8, s.layout.pp = row.pp, s.layout.vp = row.vp, s.layout.micro_seqs = row.micro;
    s.layout.recompute = Recompute::kNone, s.sequence_parallel = false;
    const StageMemory plain = stage_memory(s, 0);
    EXPECT_NEAR((plain.weights + plain.gradients + plain.optimizer) / 1073741824 / row.state, 1, 0.05) << row.key;
    EXPECT_NEAR(plain.activations / 1073741824 / row.activations, 1, 0.05) << row.key;
    s.layout.recompute = Recompute::kSelective, s.sequence_parallel = true;
    EXPECT_NEAR(stage_memory(s, 0).activations / 1073741824 / row.selective, 1, 0.05) << row.key;
  }
}

TEST(CostGates, TwentyTwoTimesIsElevenTimesHoursAndTwoOfPrice) {
  const Json c = compare_specs(load_plan_spec("configs/plans/deepseek-v3.toml"), load_plan_spec("configs/plans/llama-3.1-405b.toml"),
                               fitted_parameters());
  EXPECT_NEAR(c["factors"]["model_flops"].get<double>(), 10.62, 0.01);
  EXPECT_NEAR(c["factors"]["mfu"].get<double>(), 1.09, 0.005);
  EXPECT_NEAR(c["factors"]["scope"].get<double>(), 0.956, 0.001);
  EXPECT_NEAR(c["hours"].get<double>(), 11.06, 0.01);
  EXPECT_NEAR(c["rate"].get<double>(), 2.0, 1e-9);
  EXPECT_NEAR(c["dollars"].get<double>(), 22.1, 0.05);
}

TEST(PlanRows, EveryRowHasAPredictionOrAReason) {
  for (const char* path : {"configs/cost/throughput.csv", "configs/cost/runs.csv"}) {
    const CsvTable table = CsvTable::parse(read_file(path), path);
    const CsvTable out = CsvTable::parse(predict_rows(table, fitted_parameters()), "predictions");
    ASSERT_EQ(out.size(), table.size());
    for (size_t row = 0; row < out.size(); ++row) EXPECT_EQ(table.fault(row), "") << path << " row " << row;
    for (size_t row = 0; row < out.size(); ++row)
      EXPECT_TRUE(out.number(row, "tokens_per_s_per_gpu") > 0 || !out.cell(row, "reason").empty()) << path << " row " << row;
  }
}

TEST(PlanRows, TargetColumnsDoNotMatter) {
  const std::string head = "model,arch_key,gpu_type,gpus,precision,gbs_seqs,mbs_seqs,seq_len,TP,PP,VP,EP,framework,version";
  const std::string row = "LLAMA3_70B,l3-70,H100,64,FP8,256,1,8192,4,8,5,,Megatron-Bridge,26.04";
  const auto rate = [&](const std::string& columns, const std::string& cells) {
    const CsvTable out =
        CsvTable::parse(predict_rows(CsvTable::parse(head + columns + "\n" + row + cells + "\n", "t"), fitted_parameters()), "p");
    return out.cell(0, "tokens_per_s_per_gpu");
  };
  EXPECT_EQ(rate("", ""), rate(",tokens_per_s_per_gpu,step_time_s,published_mfu_pct", ",17,3,99"));
}

TEST(PlanRows, SaysWhyThereIsNoPrediction) {
  const auto reason = [&](const std::string& row) {
    const CsvTable t = CsvTable::parse("model,gpu_type,gpus,precision,gbs_seqs,seq_len\n" + row + "\n", "t");
    return CsvTable::parse(predict_rows(t, fitted_parameters()), "p").cell(0, "reason");
  };
  EXPECT_NE(reason("Nobody knows,H100,8,BF16,8,4096").find("no shape known"), std::string::npos);
  EXPECT_NE(reason("Llama 3 8B,Abacus,8,BF16,8,4096").find("unknown accelerator"), std::string::npos);
  EXPECT_NE(reason("Llama 3 8B,H100,8,BF17x,8,4096").find("unknown precision"), std::string::npos);
  EXPECT_NE(reason("Llama 3 8B,H100,-8,BF16,8,4096").find("number of accelerators"), std::string::npos);
  EXPECT_NE(reason("Llama 3 8B,H100,8,BF16,,0").find("sequence length"), std::string::npos);
  EXPECT_EQ(reason("Llama 3 8B,H100,8,BF16,8,"), "shape of l3-8; rows of 4096 tokens assumed; ");
}

const std::string kRowHead = "model,gpu_type,gpus,precision,gbs_seqs,seq_len,mbs_seqs,TP,PP,EP,FSDP,params_B,params_active_B";
RowSetup row_of(const std::string& cells) { return read_row(CsvTable::parse(kRowHead + "\n" + cells + "\n", "t"), 0, fitted_parameters()); }

// A family's name is no size, and one figure of a sparse model is its total.
TEST(PlanRows, SizesThatTheRowGivesDecideOverNamesThatContainAKnownOne) {
  const auto billions = [](const std::string& model, const std::string& ep, const std::string& all, const std::string& active) {
    const ParameterCount count =
        count_parameters(row_of(model + ",H100,64,BF16,256,4096,1,1,1," + ep + ",," + all + "," + active).setup.shape);
    return std::pair{count.total / 1e9, count.active / 1e9};
  };
  EXPECT_NEAR(billions("DeepSeek-R1-Distill-Qwen-7B", "", "", "").first, 7, 1);
  EXPECT_NEAR(billions("Llama 3 3B", "", "", "").first, 3, 0.5);
  EXPECT_NEAR(billions("Phi-4-mini", "", "", "3.8").first, 3.8, 0.5);
  EXPECT_NEAR(billions("DeepSeek-V3", "", "", "").first, 671, 15);
  EXPECT_NEAR(billions("Mixtral 8x7B", "", "", "").first, 46.7, 0.5);
  EXPECT_NEAR(billions("Foo-30B-A3B", "8", "30", "").first, 30, 3);
  EXPECT_NEAR(billions("Foo-30B-A3B", "8", "30", "").second, 3, 0.5);
  EXPECT_GT(billions("Foo", "8", "", "3").first, 20);
}

TEST(PlanRows, ReadsOtherSpellings) {
  for (const char* part : {"A100-SXM4-80GB", "A100 80GB", "NVIDIA A100-80GB"})
    EXPECT_EQ(row_of("Llama 3 8B," + std::string(part) + ",64,BF16,256,4096,1,,,,,,").setup.gpu.name, "a100") << part;
  EXPECT_EQ(row_of("Llama 3 8B,A100-40GB,64,BF16,256,4096,1,,,,,,").setup.gpu.name, "a100-40");
  EXPECT_EQ(row_of("Llama 3 8B,AMD Instinct MI300X,64,BF16,256,4096,1,,,,,,").setup.gpu.name, "mi300x");
  EXPECT_EQ(row_of("Llama 3 8B,H100 80GB HBM3,\"1,024\",BF16,4096,4096,1,,,,,N/A,").setup.gpus, 1024);
  const auto sharding = [](const std::string& cell) {
    return row_of("Llama 3 8B,H100,64,BF16,256,4096,1,1,1,1," + cell + ",,").setup.layout.sharding;
  };
  for (const char* word : {"FULL_SHARD", "yes", "True", "ZeRO-3", "FSDP2", "HSDP"}) EXPECT_EQ(sharding(word), Sharding::kWeights) << word;
  for (const char* word : {"", "NO_SHARD", "no", "ZeRO-1"}) EXPECT_EQ(sharding(word), Sharding::kOptimizer) << word;
  EXPECT_EQ(sharding("SHARD_GRAD_OP"), Sharding::kGradients);
}

TEST(PlanRows, ImpossibleCellsAreCutOrRefused) {
  EXPECT_EQ(row_of("Llama 3 8B,H100,64,BF16,256,4096,1024,1,1,,,,").setup.layout.micro_seqs, 4);
  EXPECT_FALSE(row_of("Llama 3 8B,H100,64,BF16,256,4096,1,4294967296,4294967296,,,,").usable);
  EXPECT_GT(row_of("Llama 3.1 405B,H100,512,BF16,512,4096,,,,,,,").setup.layout.tp, 1);  // a layout that fits is searched
}

TEST(PlanSpec, RefusesWhatCannotBe) {
  const auto message = [](auto change) -> std::string {
    PlanSpec spec = load_plan_spec("configs/plans/deepseek-v3.toml");
    change(spec);
    try {
      plan_phase(phases_of(spec)[0], fitted_parameters());
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_EQ(message([](PlanSpec&) {}), "");
  EXPECT_NE(message([](PlanSpec& s) { s.hardware = "h8000"; }).find("did you mean h800"), std::string::npos);
  EXPECT_NE(message([](PlanSpec& s) { s.layout = "pp16,ep63"; }).find("ep 63 does not divide 256 experts"), std::string::npos);
  EXPECT_NE(message([](PlanSpec& s) { s.layout = "pp17"; }).find("does not divide 2048"), std::string::npos);
  EXPECT_NE(message([](PlanSpec& s) { s.layout = "zz4"; }).find("--layout: expected words"), std::string::npos);
  EXPECT_NE(message([](PlanSpec& s) { s.tokens = -1; }).find("--tokens: expected a positive count"), std::string::npos);
  EXPECT_NE(message([](PlanSpec& s) { s.gpus = 8, s.layout = ""; }).find("Nearest that fits: --gpus"), std::string::npos);
  EXPECT_NE(message([](PlanSpec& s) { s.layout = "pp1,mbs1"; }).find("Nearest that fits: --layout"), std::string::npos);
  EXPECT_NE(message([](PlanSpec& s) { s.hardware = "a100"; }).find("no 8-bit products"), std::string::npos);
  EXPECT_THROW(parse_count("14.8X", "--tokens"), Error);
  EXPECT_EQ(parse_count("14.8T", "--tokens"), 14.8e12);
}

// A batch that no number of ranks divides leaves one layout: a search moves it to one that they do.
TEST(PlanSpec, SearchedBatchIsOneThatRanksDivide) {
  const auto batch = [](int64_t gpus, double tokens) {
    PlanSpec spec;
    spec.model = "l3-8", spec.hardware = "h100", spec.gpus = gpus, spec.tokens = 1e12, spec.batch_tokens = tokens;
    return phases_of(spec)[0].setup.batch_seqs;
  };
  EXPECT_EQ(batch(256, 0), 1024);
  EXPECT_EQ(batch(24, 0) % 24, 0);
  EXPECT_EQ(batch(1000, 0) % 1000, 0);
  EXPECT_EQ(batch(2048, 62914560), 15360);                                   // a given one stays where it can
  EXPECT_THROW(load_shape("models/llama3-8b/config.json", nullptr), Error);  // a path is no alias
}

TEST(Hardware, EveryRowHasSourceAndDateAndSaneFigures) {
  ASSERT_GT(accelerators().size(), 20u);
  for (const Accelerator& a : accelerators()) {
    EXPECT_FALSE(a.source.empty() || a.date.empty()) << a.name;
    EXPECT_GT(a.bf16_tflops, a.matmul_bf16_tflops) << a.name;
    EXPECT_GT(a.memory_gb * a.hbm_tb_s * a.link_gb_s * a.nic_gb_s * a.tdp_w, 0) << a.name;
  }
  EXPECT_EQ(accelerator("NVIDIA H100-SXM5").name.substr(0, 4), "h100");
}

}  // namespace
}  // namespace finback
