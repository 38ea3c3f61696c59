#include "model/safetensors_header.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/json.h"

namespace finback {
namespace {

constexpr uint64_t kMaxHeader = 100'000'000;  // the format's own bound
constexpr size_t kMaxRank = 16;

struct DtypeName {
  const char* name;
  at::ScalarType dtype;
};
constexpr std::array<DtypeName, 13> kDtypes = {{{"F64", at::kDouble},
                                                {"F32", at::kFloat},
                                                {"BF16", at::kBFloat16},
                                                {"F16", at::kHalf},
                                                {"F8_E4M3", at::kFloat8_e4m3fn},
                                                {"F8_E5M2", at::kFloat8_e5m2},
                                                {"F8_E8M0", at::kFloat8_e8m0fnu},
                                                {"I64", at::kLong},
                                                {"I32", at::kInt},
                                                {"I16", at::kShort},
                                                {"I8", at::kChar},
                                                {"U8", at::kByte},
                                                {"BOOL", at::kBool}}};

// Follows the one grammar that a header may have: {name: {dtype, shape, data_offsets}, ..., "__metadata__": {string: string}}. Nothing else
// is ever stored, so a hostile header costs no more memory than its own size.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  HeaderReader(SafetensorsHeader& header, const std::string& what) : header_(header), what_(what) {}

  bool start_object(size_t) override {
    if (depth_ == 1) begin_tensor();
    if (depth_ >= 2) wrong("an object");
    ++depth_;
    return true;
  }
  bool end_object() override {
    if (--depth_ == 1 && !in_metadata_) end_tensor();
    return true;
  }
  bool key(std::string& name) override {
    field_ = name;
    if (depth_ == 1) {
      name_ = name;
      in_metadata_ = name == "__metadata__";
      const bool fresh = in_metadata_ ? !std::exchange(seen_metadata_, true) : header_.entries.try_emplace(name).second;
      FB_CHECK(fresh, "{}: {} appears twice", what_, quoted_name(name));
    } else if (!in_metadata_) {
      const int bit = name == "dtype" ? 1 : name == "shape" ? 2 : name == "data_offsets" ? 4 : 0;
      FB_CHECK(bit != 0, "{}: {}: expected keys dtype, shape, data_offsets, got {}", what_, quoted_name(name_), quoted_name(name));
      FB_CHECK(!(seen_ & bit), "{}: {}: {} appears twice", what_, quoted_name(name_), name);
      seen_ |= bit;
    }
    return true;
  }
  bool string(std::string& value) override {
    if (depth_ == 2 && in_metadata_) {
      FB_CHECK(header_.metadata.emplace(field_, value).second, "{}: {} appears twice in its metadata", what_, quoted_name(field_));
      return true;
    }
    if (depth_ != 2 || field_ != "dtype" || in_array_) wrong("a string");
    const auto found = std::find_if(kDtypes.begin(), kDtypes.end(), [&](const DtypeName& d) { return value == d.name; });
    TensorEntry& entry = header_.entries[name_];
    entry.dtype = found != kDtypes.end() ? found->dtype : at::ScalarType::Undefined;
    if (found == kDtypes.end()) entry.dtype_name = value.substr(0, 20);
    return true;
  }
  bool start_array(size_t) override {
    if (depth_ != 2 || in_metadata_ || in_array_ || field_ == "dtype") wrong("an array");
    in_array_ = true;
    return true;
  }
  bool end_array() override {
    in_array_ = false;
    return true;
  }
  bool number_unsigned(uint64_t value) override {
    if (!in_array_) wrong("a number");
    FB_CHECK(value < (uint64_t{1} << 62), "{}: {}: {} holds {}, which no file can have", what_, quoted_name(name_), field_, value);
    if (field_ == "shape") {
      std::vector<int64_t>& shape = header_.entries[name_].shape;
      FB_CHECK(shape.size() < kMaxRank, "{}: {}: expected at most {} dimensions", what_, quoted_name(name_), kMaxRank);
      shape.push_back(int64_t(value));
    } else {
      FB_CHECK(offsets_ < 2, "{}: {}: expected two data_offsets, got more", what_, quoted_name(name_));
      (offsets_++ == 0 ? header_.entries[name_].begin : header_.entries[name_].end) = value;
    }
    return true;
  }
  bool number_integer(int64_t value) override {
    FB_FAIL("{}: {}: expected whole numbers from 0, got {}", what_, quoted_name(name_), value);
  }
  bool number_float(double, const std::string& text) override { wrong(quoted_name(text).c_str()); }
  bool null() override {
    if (depth_ != 1 || !in_metadata_) wrong("null");
    return true;
  }
  bool boolean(bool) override { wrong("a boolean"); }
  bool binary(binary_t&) override { wrong("binary data"); }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    FB_FAIL("{}: expected a JSON header, got a syntax or UTF-8 error at its byte {}", what_, position);
  }

 private:
  [[noreturn]] void wrong(const char* got) const {
    FB_FAIL("{}: {}: expected {}, got {}", what_, quoted_name(name_),
            in_metadata_ ? "an object of strings" : "{dtype, shape, data_offsets}", got);
  }
  void begin_tensor() {
    seen_ = 0;
    offsets_ = 0;
  }
  void end_tensor() const {
    FB_CHECK(seen_ == 7 && offsets_ == 2, "{}: {}: expected dtype, shape and two data_offsets, got less", what_, quoted_name(name_));
  }

  SafetensorsHeader& header_;
  const std::string& what_;
  std::string name_, field_;
  int depth_ = 0, seen_ = 0, offsets_ = 0;
  bool in_metadata_ = false, seen_metadata_ = false, in_array_ = false;
};

// In the order of their offsets the ranges must follow one another from 0 to the end of the file.
void check_ranges(SafetensorsHeader& header, uint64_t data_bytes, const std::string& what) {
  std::vector<const TensorEntry*> order;
  for (auto& [name, entry] : header.entries) {
    entry.name = name;
    FB_CHECK(entry.begin <= entry.end && entry.end <= data_bytes,
             "{}: {}: expected data_offsets inside the {} bytes of data, got {} to {}. Hint: the file may be truncated", what,
             quoted_name(name), data_bytes, entry.begin, entry.end);
    const bool known = entry.dtype != at::ScalarType::Undefined;
    const uint64_t bytes = tensor_bytes(entry.shape, known ? entry.dtype : at::kByte, what + ": " + quoted_name(name));
    FB_CHECK(!known || entry.end - entry.begin == bytes, "{}: {}: expected {} bytes by its shape and dtype, got {} by its data_offsets",
             what, quoted_name(name), bytes, entry.end - entry.begin);
    order.push_back(&entry);
  }
  std::sort(order.begin(), order.end(),
            [](const TensorEntry* a, const TensorEntry* b) { return std::pair(a->begin, a->end) < std::pair(b->begin, b->end); });
  uint64_t end = 0;
  for (const TensorEntry* entry : order) {
    FB_CHECK(entry->begin == end, "{}: {} begins at byte {}, expected {}: data {}", what, quoted_name(entry->name), entry->begin, end,
             entry->begin < end ? "overlap" : "have a hole");
    end = entry->end;
  }
  FB_CHECK(end == data_bytes, "{}: expected {} bytes of data, got {}. Hint: the file may be truncated or have something appended", what,
           end, data_bytes);
}

}  // namespace

std::string quoted_name(const std::string& name) { return dump_json_line(Json(name.size() > 100 ? name.substr(0, 97) + "..." : name)); }

std::string safetensors_dtype(at::ScalarType dtype) {
  for (const DtypeName& known : kDtypes) {
    if (known.dtype == dtype) return known.name;
  }
  FB_ASSERT(false, "safetensors has no name for dtype {}", c10::toString(dtype));
}

std::string stored_dtype(const TensorEntry& entry) {
  return entry.dtype_name.empty() ? safetensors_dtype(entry.dtype) : quoted_name(entry.dtype_name);
}

std::string other_file_kind(std::string_view begin) {
  const std::pair<std::string_view, const char*> kinds[] = {{"PK\x03\x04", "a zip archive, as torch.save writes"},
                                                            {"\x80\x02", "a pickle, as older versions of torch.save write"},
                                                            {"GGUF", "a GGUF file"},
                                                            {"\x1f\x8b", "a gzip file"},
                                                            {"<", "a web page or XML"},
                                                            {"{", "JSON text"}};
  for (const auto& [magic, kind] : kinds) {
    if (begin.starts_with(magic)) return std::string(", got ") + kind;
  }
  return "";
}

uint64_t tensor_bytes(const std::vector<int64_t>& shape, at::ScalarType dtype, const std::string& what) {
  uint64_t bytes = c10::elementSize(dtype);
  bool empty = false, overflow = false;
  for (const int64_t size : shape) {
    if (size == 0) empty = true;  // the other sizes must still fit: they become strides
    if (size != 0) overflow |= __builtin_mul_overflow(bytes, uint64_t(size), &bytes) || bytes >= (uint64_t{1} << 62);
  }
  FB_CHECK(!overflow, "{}: its shape has more bytes than any file", what);
  return empty ? 0 : bytes;
}

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file, const std::string& what) {
  FB_CHECK(file.size() >= 8, "{}: expected a safetensors file, got {} bytes. Hint: its download may have been interrupted", what,
           file.size());
  const std::string kind = other_file_kind({reinterpret_cast<const char*>(file.data()), 8});
  uint64_t length = 0;
  std::memcpy(&length, file.data(), 8);  // little-endian, as this machine
  FB_CHECK(kind.empty() || length <= kMaxHeader, "{}: expected a safetensors file{}", what, kind);
  FB_CHECK(length <= kMaxHeader, "{}: expected a header of at most {} bytes, got {}. Hint: is this a safetensors file?", what, kMaxHeader,
           length);
  FB_CHECK(length <= file.size() - 8, "{}: expected a header of {} bytes, got a file of {}. Hint: the file may be truncated", what, length,
           file.size());
  const char* text = reinterpret_cast<const char*>(file.data()) + 8;
  FB_CHECK(length > 0 && text[0] == '{', "{}: expected a header that begins with {{", what);
  SafetensorsHeader header;
  header.data_begin = 8 + length;
  HeaderReader reader(header, what);
  nlohmann::json::sax_parse(text, text + length, &reader);
  check_ranges(header, file.size() - header.data_begin, what);
  return header;
}

std::string write_safetensors_header(const std::vector<TensorEntry>& entries, const std::map<std::string, std::string>& metadata) {
  std::string json = "{";
  if (!metadata.empty()) json += "\"__metadata__\":" + nlohmann::json(metadata).dump() + ",";
  uint64_t end = 0;
  for (const TensorEntry& entry : entries) {
    FB_ASSERT(entry.begin == end && entry.end - entry.begin == tensor_bytes(entry.shape, entry.dtype, entry.name),
              "entries tile the data: {}", entry.name);
    end = entry.end;
    json += fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}},", dump_json_line(Json(entry.name)),
                        safetensors_dtype(entry.dtype), fmt::join(entry.shape, ","), entry.begin, entry.end);
  }
  if (json.size() > 1) json.pop_back();
  json += "}";
  json.resize((8 + json.size() + 63) / 64 * 64 - 8, ' ');
  const uint64_t length = json.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + json;
}

}  // namespace finback
