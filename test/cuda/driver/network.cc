#include "network.h"

#include <fstream>
#include <functional>
#include <map>
#include <sstream>

#include "core/error.h"

namespace sknet::driver {

namespace {

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, at);) parts.push_back(part);
  return parts;
}

std::vector<plan::BranchSpec> branches(const std::string& text) {
  std::vector<plan::BranchSpec> list;
  for (const std::string& branch : split(text, '/')) {
    const std::vector<std::string> n = split(branch, ':');
    list.push_back({std::stoi(n.at(0)), std::stoi(n.at(1)), std::stoi(n.at(2))});
  }
  return list;
}

plan::LayerSpec layer(std::istringstream& words) {
  plan::LayerSpec l;
  std::string inputs;
  words >> l.op >> l.name >> inputs;
  l.inputs = split(inputs, ',');
  const std::map<std::string, std::function<void(const std::string&)>> keys = {
      {"out", [&](const std::string& v) { l.out = std::stoi(v); }},
      {"kernel", [&](const std::string& v) { l.kernel = std::stoi(v); }},
      {"stride", [&](const std::string& v) { l.stride = std::stoi(v); }},
      {"padding", [&](const std::string& v) { l.padding = std::stoi(v); }},
      {"dilation", [&](const std::string& v) { l.dilation = std::stoi(v); }},
      {"groups", [&](const std::string& v) { l.groups = std::stoi(v); }},
      {"first", [&](const std::string& v) { l.first = std::stoi(v); }},
      {"bias", [&](const std::string& v) { l.bias = v == "true"; }},
      {"ceil", [&](const std::string& v) { l.ceil = v == "true"; }},
      {"splitInput", [&](const std::string& v) { l.split_input = v == "true"; }},
      {"eps", [&](const std::string& v) { l.eps = std::stof(v); }},
      {"momentum", [&](const std::string& v) { l.momentum = std::stof(v); }},
      {"branches", [&](const std::string& v) { l.branches = branches(v); }},
      {"attention", [&](const std::string& v) { l.attention_width = std::stoi(v); }},
  };
  for (std::string word; words >> word;) {
    const size_t equals = word.find('=');
    keys.at(word.substr(0, equals))(word.substr(equals + 1));
  }
  return l;
}

}  // namespace

std::vector<Network> read_networks(const std::string& path) {
  std::ifstream file(path);
  check(file.good(), "ERR_SKNET_OPTION", path + " cannot be read");
  std::vector<Network> networks;
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    std::istringstream words(line);
    try {
      if (line.empty()) continue;
      if (line.starts_with("network ")) {
        std::string word;
        Network n;
        plan::PlanSpec& s = n.spec;
        words >> word >> n.name >> s.height >> s.width >> s.channels >> s.shard_size;
        networks.push_back(n);
      } else {
        networks.at(networks.size() - 1).spec.layers.push_back(layer(words));
      }
    } catch (const std::exception&) {
      throw Error("ERR_SKNET_OPTION", path + ":" + std::to_string(number) + ": no layer: " + line);
    }
  }
  return networks;
}

}  // namespace sknet::driver
