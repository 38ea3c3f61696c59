#include "model/safetensors.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <cstring>

#include "base/error.h"
#include "model/safetensors_header.h"

namespace finback {
namespace {
namespace fs = std::filesystem;

// A file of this header text and this many bytes of data.
std::string file_of(const std::string& header, size_t data) {
  std::string bytes(8, '\0');
  const uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + std::string(data, '\0');
}

std::string error_of(const std::string& file) {
  try {
    parse_safetensors_header(std::as_bytes(std::span(file)), "f.safetensors");
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()).find_first_of("\n\r"), std::string::npos) << e.what();
    return e.what();
  }
  return "";
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
}

class TemporaryFolder {
 public:
  TemporaryFolder() : path_(fs::temp_directory_path() / ("finback_safetensors_test_" + std::to_string(getpid()))) {
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  ~TemporaryFolder() { fs::remove_all(path_); }
  fs::path operator/(const std::string& name) const { return path_ / name; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::string folder_error(const fs::path& folder) {
  try {
    const SafetensorsFolder files(folder);
    for (const std::string& name : files.names()) files.tensor(name);
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
    return e.what();
  }
  return "";
}

TEST(Safetensors, GoodHeaderParses) {
  EXPECT_EQ(error_of(file_of("{" + entry("a", "F32", "[2,3]", "[0,24]") + "," + entry("b", "BF16", "[]", "[24,26]") + "}  ", 26)), "");
  EXPECT_EQ(error_of(file_of("{\"__metadata__\":null," + entry("e", "I8", "[0,5]", "[0,0]") + "}", 0)), "");  // as safetensors reads it
  EXPECT_EQ(error_of(file_of("{\"__metadata__\":{\"format\":\"pt\"}," + entry("e", "I8", "[0,5]", "[0,0]") + "}", 0)), "");
  EXPECT_EQ(error_of(file_of("{}", 0)), "");
}

TEST(Safetensors, HostileHeadersAreOneLineErrors) {
  const std::string good = entry("a", "F32", "[2]", "[0,8]");
  const std::pair<std::string, const char*> cases[] = {
      {"", "got 0 bytes"},
      {"abc", "got 3 bytes"},
      {std::string(8, '\xff'), "header of at most"},
      {std::string(8, '\0'), "begins with"},
      {file_of("{" + good + "}", 8).substr(0, 20), "truncated"},
      {file_of("{" + good + "}", 7), "truncated"},
      {file_of("{" + good + "}", 9), "appended"},
      {file_of("[1, 2]", 0), "begins with"},
      {file_of("{\"a\": 3}", 0), "got a number"},
      {file_of("{\"a\": [1]}", 0), "got an array"},
      {file_of("{\"a\": {\"dtype\": {}}}", 0), "got an object"},
      {file_of("{\"a\": \"F32\"}", 0), "got a string"},
      {file_of("{" + good, 8), "syntax or UTF-8"},
      {file_of("{\"\xff\xfe\": {}}", 0), "syntax or UTF-8"},
      {file_of("{" + entry("a\\nb", "F32", "[3]", "[0,8]") + "}", 8), "expected 12 bytes"},
      {file_of("{" + entry("a", "F32", "[-2]", "[0,8]") + "}", 8), "got -2"},
      {file_of("{" + entry("a", "F32", "[2.0]", "[0,8]") + "}", 8), "2.0"},
      {file_of("{" + entry("a", "F32", "[18446744073709551615]", "[0,8]") + "}", 8), "which no file can have"},
      {file_of("{" + entry("a", "F32", "[4294967296,4294967296]", "[0,8]") + "}", 8), "more bytes than any file"},
      {file_of("{" + entry("a", "F32", "[4294967296,4294967296,0]", "[0,0]") + "}", 0), "more bytes than any file"},
      {file_of("{" + entry("a", "F32", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[0,4]") + "}", 4), "dimensions"},
      {file_of("{" + entry("a", "F32", "[2]", "[8,0]") + "}", 8), "inside the 8 bytes"},
      {file_of("{" + entry("a", "F32", "[2]", "[0,9]") + "}", 9), "expected 8 bytes"},
      {file_of("{" + entry("a", "F32", "[2]", "[0,8,8]") + "}", 8), "two data_offsets"},
      {file_of("{" + entry("a", "F32", "[2]", "[0]") + "}", 8), "got less"},
      {file_of("{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8), "got less"},
      {file_of("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", 8), "twice"},
      {file_of("{\"a\":{\"strides\":[2]}}", 8), "got \"strides\""},
      {file_of("{" + good + "," + entry("a", "F32", "[2]", "[8,16]") + "}", 16), "\"a\" appears twice"},
      {file_of("{" + good + "," + entry("b", "F32", "[2]", "[4,12]") + "}", 12), "overlap"},
      {file_of("{" + good + "," + entry("b", "F32", "[2]", "[12,20]") + "}", 20), "have a hole"},
      {file_of("{\"__metadata__\":{\"a\":1}," + good + "}", 8), "\"__metadata__\": expected an object of strings, got a number"},
      {file_of("{\"a\":null," + good + "}", 8), "got null"},
      {file_of("{\"__metadata__\":{},\"__metadata__\":{}," + good + "}", 8), "twice"},
      {file_of("{\"__metadata__\":{\"format\":\"pt\",\"format\":\"tf\"}," + good + "}", 8), "\"format\" appears twice in its metadata"},
      {file_of("{" + good + "} x", 8), "syntax or UTF-8"}};
  for (const auto& [file, expected] : cases) {
    const std::string error = error_of(file);
    EXPECT_NE(error.find(expected), std::string::npos) << "expected \"" << expected << "\", got \"" << error << "\"";
    EXPECT_EQ(error.find("f.safetensors: "), 0u) << error;
  }
}

TEST(Safetensors, DeepNestingIsRefusedWithoutRecursion) {
  EXPECT_NE(error_of(file_of("{\"a\":{\"shape\":" + std::string(1'000'000, '[') + "}}", 0)), "");
  EXPECT_NE(error_of(file_of(
                [] {
                  std::string s;
                  for (int i = 0; i < 100'000; ++i) s += "{\"a\":";
                  return s;
                }(),
                0)),
            "");
}

TEST(Safetensors, EveryDtypeSurvivesTheFile) {
  const TemporaryFolder folder;
  std::vector<at::Tensor> tensors = {at::ones({3}, at::kFloat),
                                     at::full({1, 2}, 0.5, at::kDouble),
                                     at::full({3}, -2, at::kBFloat16),
                                     at::full({5}, 3, at::kHalf),
                                     at::full({2, 2}, 1.5, at::kFloat).to(at::kFloat8_e4m3fn),
                                     at::full({7}, 2, at::kFloat).to(at::kFloat8_e5m2),
                                     at::arange(4, at::kLong),
                                     at::arange(3, at::kInt),
                                     at::arange(3, at::kShort),
                                     at::arange(3, at::kChar),
                                     at::arange(3, at::kByte),
                                     at::ones({2}, at::kBool),
                                     at::zeros({0, 4}, at::kFloat),
                                     at::full({}, 9, at::kFloat)};
  std::vector<TensorEntry> entries;
  uint64_t end = 0;
  for (const at::Tensor& tensor : tensors) {
    entries.push_back({"t" + std::to_string(entries.size()), tensor.scalar_type(), tensor.sizes().vec(), end, end + tensor.nbytes()});
    end += tensor.nbytes();
  }
  SafetensorsWriter writer(folder / "x.safetensors", entries, {{"format", "pt"}});
  for (const at::Tensor& tensor : tensors) writer.write(tensor);
  EXPECT_FALSE(fs::exists(folder / "x.safetensors"));  // whole or not at all
  writer.commit();
  const SafetensorsFile file(folder / "x.safetensors");
  EXPECT_EQ(file.metadata().at("format"), "pt");
  for (size_t i = 0; i < tensors.size(); ++i) {
    const at::Tensor read = file.tensor(entries[i].name);  // odd offsets after F8 and BOOL: misaligned ones come as copies
    EXPECT_EQ(read.scalar_type(), tensors[i].scalar_type());
    EXPECT_TRUE(read.to(at::kDouble).equal(tensors[i].to(at::kDouble))) << entries[i].name;
  }
  EXPECT_THROW(file.tensor("nobody"), Error);
}

TEST(Safetensors, ViewOutlivesItsFile) {
  const TemporaryFolder folder;
  SafetensorsWriter writer(folder / "x.safetensors", {{"a", at::kFloat, {2}, 0, 8}}, {});
  writer.write(at::ones({2}));
  writer.commit();
  const at::Tensor view = SafetensorsFile(folder / "x.safetensors").tensor("a");
  EXPECT_TRUE(view.equal(at::ones({2})));
}

TEST(Safetensors, UncommittedFileLeavesNothing) {
  const TemporaryFolder folder;
  { SafetensorsWriter writer(folder / "x.safetensors", {{"a", at::kFloat, {2}, 0, 8}}, {}); }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(SafetensorsFolder, ReadsShardsThroughTheIndex) {
  const TemporaryFolder folder;
  for (int shard = 1; shard <= 2; ++shard) {
    SafetensorsWriter writer(folder / ("model-0000" + std::to_string(shard) + "-of-00002.safetensors"),
                             {{"t" + std::to_string(shard), at::kFloat, {2}, 0, 8}}, {});
    writer.write(at::full({2}, float(shard)));
    writer.commit();
  }
  write_file_atomic(folder / "model.safetensors.index.json",
                    R"({"weight_map": {"t2": "model-00002-of-00002.safetensors", "t1": "model-00001-of-00002.safetensors"}})");
  const SafetensorsFolder files(folder.path());
  EXPECT_EQ(files.names(), (std::vector<std::string>{"t1", "t2"}));
  const at::Tensor first = files.tensor("t1"), second = files.tensor("t2");
  EXPECT_EQ(first[0].item<float>(), 1);
  EXPECT_EQ(second[1].item<float>(), 2);
  EXPECT_FALSE(files.has("t3"));
}

// A dtype that torch lacks does not hinder those who read names and metadata; its bytes are never handed out as numbers.
TEST(Safetensors, UnknownDtypesAreListedAndNotRead) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "x.safetensors",
                    file_of("{" + entry("a", "F4", "[6]", "[0,3]") + "," + entry("b", "F32", "[1]", "[3,7]") + "}", 7));
  const SafetensorsFile file(folder / "x.safetensors");
  EXPECT_EQ(stored_dtype(file.entries().at("a")), "\"F4\"");
  EXPECT_EQ(stored_dtype(file.entries().at("b")), "F32");
  EXPECT_EQ(file.tensor("b").numel(), 1);
  try {
    file.tensor("a");
    FAIL() << "read";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("dtype \"F4\" is not known"), std::string::npos) << e.what();
  }
}

TEST(Safetensors, OtherKindsOfFilesAreNamed) {
  const std::string rest(100, '\x7f');
  const std::pair<std::string, const char*> cases[] = {{"PK\x03\x04" + rest, "a zip archive, as torch.save writes"},
                                                       {"GGUF" + rest, "a GGUF file"},
                                                       {"<!DOCTYPE html><html>" + rest, "a web page"},
                                                       {"{\"error\": 1}" + rest, "JSON"},
                                                       {"\x80\x02}q" + rest, "a pickle"}};
  for (const auto& [bytes, expected] : cases) EXPECT_NE(error_of(bytes).find(expected), std::string::npos) << error_of(bytes);
}

// What one folder holds besides what is read is said, once.
TEST(SafetensorsFolder, SaysWhichOfSeveralWeightsAreRead) {
  const std::string one = file_of("{" + entry("a", "F32", "[2]", "[0,8]") + "}", 8),
                    two = file_of("{" + entry("b", "F32", "[2]", "[0,8]") + "," + entry("a", "F32", "[2]", "[8,16]") + "}", 16);
  const std::string index = R"({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}})";
  const auto said = [&](const std::map<std::string, std::string>& files, const char* name) {
    const TemporaryFolder folder;
    fs::create_directories(folder / name);
    for (const auto& [file, bytes] : files) write_file_atomic(folder / name / file, bytes);
    testing::internal::CaptureStderr();
    for (int i = 0; i < 2; ++i) {
      const SafetensorsFolder read(folder / name);
      for (const std::string& tensor : read.names()) read.tensor(tensor);
    }
    return testing::internal::GetCapturedStderr();
  };
  const std::string beside =
      said({{"model.safetensors", one}, {"model-00001-of-00001.safetensors", one}, {"model.safetensors.index.json", index}}, "1");
  EXPECT_NE(beside.find("model.safetensors is read; not read: model-00001-of-00001.safetensors\n"), std::string::npos) << beside;
  const std::string bin =
      said({{"model.safetensors", one}, {"pytorch_model.bin", "x"}, {"optimizer.pt", "x"}, {"trainer.safetensors", "x"}}, "2");
  EXPECT_NE(bin.find("not read: pytorch_model.bin\n"), std::string::npos) << bin;
  EXPECT_EQ(std::count(bin.begin(), bin.end(), '\n'), 1) << bin;
  EXPECT_EQ(said({{"model.safetensors", one}, {"trainer.safetensors", "x"}, {"tokenizer.json", "{}"}}, "3"), "");
  const std::string hidden =
      said({{"model-1.safetensors", one}, {"model-2.safetensors", two}, {"model.safetensors.index.json", index}}, "4");
  EXPECT_NE(hidden.find("model-2.safetensors: \"a\" not read from there"), std::string::npos) << hidden;
}

TEST(SafetensorsFolder, FoldersWithoutReadableWeightsSayWhatIsThere) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "pytorch_model.bin", "x");
  EXPECT_NE(folder_error(folder.path()).find("neither is there, got pytorch_model.bin. Hint: save_pretrained"), std::string::npos);
  write_file_atomic(folder / "Model.SAFETENSORS", "x");
  EXPECT_NE(folder_error(folder.path()).find("got Model.SAFETENSORS, pytorch_model.bin. Hint: a file of that name in small letters"),
            std::string::npos)
      << folder_error(folder.path());
  fs::remove(folder / "Model.SAFETENSORS");
  write_file_atomic(folder / "model-00001-of-00002.safetensors", "x");
  EXPECT_NE(folder_error(folder.path()).find("Hint: an index says"), std::string::npos) << folder_error(folder.path());
  fs::create_symlink("../nowhere", folder / "model.safetensors");
  EXPECT_NE(folder_error(folder.path()).find("a link that leads nowhere"), std::string::npos) << folder_error(folder.path());
}

TEST(SafetensorsFolder, HostileIndexesAreOneLineErrors) {
  const TemporaryFolder folder;
  EXPECT_NE(folder_error(folder.path()).find("neither is there"), std::string::npos);
  EXPECT_NE(folder_error(folder / "absent").find("expected a model folder"), std::string::npos);
  write_file_atomic(folder / "real.safetensors", file_of("{" + entry("a", "F32", "[2]", "[0,8]") + "}", 8));
  const std::pair<const char*, const char*> cases[] = {
      {"", "weight_map"},
      {"[]", "weight_map"},
      {"{\"weight_map\": []}", "weight_map"},
      {"{\"weight_map\": {}}", "got none"},
      {"{\"weight_map\": {\"a\": 3}}", "expected a file name"},
      {"{\"weight_map\": {\"a\": \"../real.safetensors\"}}", "plain name"},
      {"{\"weight_map\": {\"a\": \"/etc/real.safetensors\"}}", "plain name"},
      {"{\"weight_map\": {\"a\": \"real.safetensors\\u0000.safetensors\"}}", "plain name"},
      {"{\"weight_map\": {\"a\": \"passwd\"}}", "plain name"},
      {"{\"weight_map\": {\"a\": \"real.safetensors\", \"a\": \"real.safetensors\"}}", "\"a\" appears twice"},
      {"{\"weight_map\": {\"a\": \"real.safetensors\"}, \"weight_map\": {}}", "\"weight_map\" appears twice"},
      {"{\"metadata\": {\"n\": 1, \"n\": 2}, \"weight_map\": {}}", "\"n\" appears twice"},
      {"{\"weight_map\": {\"a\": \"real.safetens", "cut off"},
      {"{\"weight_map\": {\"a\": \"gone.safetensors\"}}", "is not there"},
      {"{\"weight_map\": {\"b\": \"real.safetensors\"}}", "as the index says"}};
  for (const auto& [index, expected] : cases) {
    write_file_atomic(folder / "model.safetensors.index.json", index);
    EXPECT_NE(folder_error(folder.path()).find(expected), std::string::npos) << index << ": " << folder_error(folder.path());
  }
}

}  // namespace
}  // namespace finback
