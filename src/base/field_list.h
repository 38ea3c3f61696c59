// The fields of a config (base/fields.h) one by one, for help texts in another order and for shell completion. Lists of tables are left to the caller.
#pragma once
#include <string>
#include <vector>

#include "base/fields.h"

namespace finback {

struct FieldLine {
  std::string key;  // dotted, as on the command line; "data.corpora" for a list of tables
  std::string help;
  std::string value;  // of the config given, as JSON; empty for a list of tables
};

namespace fields_internal {

struct FieldLister {
  std::string prefix;
  std::vector<FieldLine>& lines;
  template <class T>
  void operator()(const char* name, T& value, const char* help) {
    if constexpr (Section<T>) {
      FieldLister inner{prefix + name + ".", lines};
      visit_fields(value, inner);
    } else {
      lines.push_back({prefix + name, help, is_table_list<T>::value ? "" : dump_json_line(to_json_value(value))});
    }
  }
};

}  // namespace fields_internal

template <class T>
std::vector<FieldLine> field_lines(T& config) {
  std::vector<FieldLine> lines;
  fields_internal::FieldLister lister{"", lines};
  visit_fields(config, lister);
  return lines;
}

}  // namespace finback
