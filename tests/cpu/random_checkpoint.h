// A small random model in the Hugging Face layout, written where the test asks: real files for the real
// loader.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

namespace parley::engine {

struct RandomCheckpoint {
  int hidden = 64;
  int ffn = 96;
  int layers = 2;
  int heads = 4;
  int kv_heads = 2;
  int vocabulary = 80;
  int context = 256;
  uint32_t seed = 1;

  // Qwen2 (biases, untied head).
  void Write(const std::string& folder) const {
    std::filesystem::create_directories(folder);
    nlohmann::json config = {{"model_type", "qwen2"},        {"hidden_size", hidden},
                             {"intermediate_size", ffn},     {"num_hidden_layers", layers},
                             {"num_attention_heads", heads}, {"num_key_value_heads", kv_heads},
                             {"vocab_size", vocabulary},     {"max_position_embeddings", context},
                             {"rms_norm_eps", 1e-6},         {"rope_theta", 10000.0},
                             {"tie_word_embeddings", false}, {"hidden_act", "silu"}};
    std::ofstream(folder + "/config.json") << config.dump();

    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, 0.25f);
    nlohmann::json header = nlohmann::json::object();
    std::vector<float> data;
    const auto add = [&](const std::string& name, std::vector<int> shape, float around) {
      size_t count = 1;
      for (int size : shape) count *= size;
      const size_t begin = data.size() * sizeof(float);
      for (size_t i = 0; i < count; ++i) data.push_back(around + normal(random));
      header[name] = {
          {"dtype", "F32"}, {"shape", shape}, {"data_offsets", {begin, data.size() * sizeof(float)}}};
    };
    const int kv = hidden / heads * kv_heads;
    add("model.embed_tokens.weight", {vocabulary, hidden}, 0);
    add("lm_head.weight", {vocabulary, hidden}, 0);
    add("model.norm.weight", {hidden}, 1);
    for (int i = 0; i < layers; ++i) {
      const std::string layer = "model.layers." + std::to_string(i) + ".";
      add(layer + "input_layernorm.weight", {hidden}, 1);
      add(layer + "post_attention_layernorm.weight", {hidden}, 1);
      add(layer + "self_attn.q_proj.weight", {hidden, hidden}, 0);
      add(layer + "self_attn.q_proj.bias", {hidden}, 0);
      add(layer + "self_attn.k_proj.weight", {kv, hidden}, 0);
      add(layer + "self_attn.k_proj.bias", {kv}, 0);
      add(layer + "self_attn.v_proj.weight", {kv, hidden}, 0);
      add(layer + "self_attn.v_proj.bias", {kv}, 0);
      add(layer + "self_attn.o_proj.weight", {hidden, hidden}, 0);
      add(layer + "mlp.gate_proj.weight", {ffn, hidden}, 0);
      add(layer + "mlp.up_proj.weight", {ffn, hidden}, 0);
      add(layer + "mlp.down_proj.weight", {hidden, ffn}, 0);
    }
    const std::string text = header.dump();
    const uint64_t size = text.size();
    std::ofstream file(folder + "/model.safetensors", std::ios::binary);
    file.write(reinterpret_cast<const char*>(&size), sizeof(size));
    file.write(text.data(), static_cast<std::streamsize>(size));
    file.write(reinterpret_cast<const char*>(data.data()),
               static_cast<std::streamsize>(data.size() * sizeof(float)));
  }
};

}  // namespace parley::engine
