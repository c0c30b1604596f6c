// The quantiser of each type.

bool encode_row(TensorType type, const float* src, std::byte* dst, std::int64_t n) {
  u8* b = reinterpret_cast<u8*>(dst);
  switch (type) {
    case TensorType::F32:
      if (n > 0) __builtin_memcpy(dst, src, static_cast<std::size_t>(n) * sizeof(float));
      return true;
    case TensorType::F16:
      return encode_f16(src, reinterpret_cast<std::uint16_t*>(dst), n);
    case TensorType::BF16:
      return encode_bf16(src, reinterpret_cast<std::uint16_t*>(dst), n);
    case TensorType::Q4_0:
      return encode_blocks<32, 18, encode_symmetric<16>>(src, b, n);
    case TensorType::Q4_1:
      return encode_blocks<32, 20, encode_with_min<16>>(src, b, n);
    case TensorType::Q5_0:
      return encode_blocks<32, 22, encode_symmetric<32>>(src, b, n);
    case TensorType::Q5_1:
      return encode_blocks<32, 24, encode_with_min<32>>(src, b, n);
    case TensorType::Q8_0:
      return encode_blocks<32, 34, encode_q8_0>(src, b, n);
    case TensorType::Q2_K:
      return encode_blocks<256, 84, encode_q2_k>(src, b, n);
    case TensorType::Q3_K:
      return encode_blocks<256, 110, encode_q3_k>(src, b, n);
    case TensorType::Q4_K:
      return encode_blocks<256, 144, encode_k_with_min<16>>(src, b, n);
    case TensorType::Q5_K:
      return encode_blocks<256, 176, encode_k_with_min<32>>(src, b, n);
    case TensorType::Q6_K:
      return encode_blocks<256, 210, encode_q6_k>(src, b, n);
    case TensorType::IQ4_NL:
      return encode_blocks<32, 18, encode_iq4_nl>(src, b, n);
    case TensorType::IQ4_XS:
      return encode_blocks<256, 136, encode_iq4_xs>(src, b, n);
    case TensorType::TQ1_0:
      return encode_blocks<256, 54, encode_tq1_0>(src, b, n);
    case TensorType::TQ2_0:
      return encode_blocks<256, 66, encode_tq2_0>(src, b, n);
    case TensorType::MXFP4:
      return encode_blocks<32, 17, encode_mxfp4>(src, b, n);
    case TensorType::NVFP4:
      return encode_blocks<64, 36, encode_nvfp4>(src, b, n);
    case TensorType::Q1_0:
      return encode_blocks<128, 18, encode_q1_0>(src, b, n);
    case TensorType::Q2_0:
      return encode_blocks<64, 18, encode_q2_0>(src, b, n);
    default:
      return encode_grid_row(type, src, b, n);
  }
}
