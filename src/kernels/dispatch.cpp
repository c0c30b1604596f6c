#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <llm/error.hpp>

#include "kernels/isa.h"
#include "kernels/kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace llm::kernels {
namespace {

#if defined(__x86_64__)

struct CpuidLeaf {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

CpuidLeaf cpuid(unsigned leaf, unsigned subleaf) {
  CpuidLeaf r;
  if (__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx) == 0) return {};
  return r;
}

bool bit(unsigned word, int n) {
  return (word >> n & 1u) != 0;
}

// Which register sets the operating system saves (XCR0).
unsigned saved_state() {
  if (!bit(cpuid(1, 0).ecx, 27)) return 0;  // OSXSAVE
  unsigned low = 0;
  unsigned high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

// Linux grants a process the large tile registers only on request.
bool may_use_tiles() {
#if defined(__linux__)
  constexpr long request_permission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long tile_data = 18;
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
  return false;
#endif
}

struct CpuFeatures {
  bool avx2 = false, avxvnni = false, avx512 = false, avx512vnni = false, avx512bf16 = false, amx = false;
};

// Bit numbers: Intel SDM volume 2A, CPUID.
CpuFeatures cpu_features() {
  const CpuidLeaf leaf1 = cpuid(1, 0);
  const CpuidLeaf leaf7 = cpuid(7, 0);
  const CpuidLeaf leaf7_1 = cpuid(7, 1);
  const unsigned saved = saved_state();
  const bool ymm = (saved & 0x06u) == 0x06u;
  const bool zmm = (saved & 0xe6u) == 0xe6u;
  CpuFeatures f;
  f.avx2 = ymm && bit(leaf1.ecx, 12) && bit(leaf1.ecx, 29) && bit(leaf7.ebx, 5) && bit(leaf7.ebx, 8);
  f.avxvnni = f.avx2 && bit(leaf7_1.eax, 4);
  f.avx512 = f.avx2 && zmm && bit(leaf7.ebx, 16) && bit(leaf7.ebx, 17) && bit(leaf7.ebx, 30) && bit(leaf7.ebx, 31);
  f.avx512vnni = f.avx512 && bit(leaf7.ecx, 11);
  f.avx512bf16 = f.avx512vnni && bit(leaf7_1.eax, 5);
  const bool tiles = (saved & 0x60000u) == 0x60000u && bit(leaf7.edx, 22) && bit(leaf7.edx, 24) && bit(leaf7.edx, 25);
  f.amx = f.avx512vnni && tiles && may_use_tiles();
  return f;
}

#endif

// Best first.
std::vector<const KernelTable*> find_available() {
  std::vector<const KernelTable*> tables;
#if defined(__x86_64__)
  const CpuFeatures has = cpu_features();
  if (has.amx) tables.push_back(&amx_kernels);
  if (has.avx512bf16) tables.push_back(&avx512bf16_kernels);
  if (has.avx512vnni) tables.push_back(&avx512vnni_kernels);
  if (has.avx512) tables.push_back(&avx512_kernels);
  if (has.avxvnni) tables.push_back(&avxvnni_kernels);
  if (has.avx2) tables.push_back(&avx2_kernels);
#endif
  tables.push_back(&scalar_kernels);
  return tables;
}

const KernelTable& choose() {
  const auto tables = available_kernels();
  const char* wanted = std::getenv("LLMGEN_ISA");
  if (wanted == nullptr || *wanted == '\0') return *tables.front();
  std::string names;
  for (const KernelTable* table : tables) {
    if (std::string_view(table->name) == wanted) return *table;
    names += names.empty() ? "" : ", ";
    names += table->name;
  }
  throw Error(ErrorCode::usage,
              "LLMGEN_ISA: found '" + std::string(wanted) + "', expected one of this machine's: " + names);
}

}  // namespace

std::span<const KernelTable* const> available_kernels() {
  static const std::vector<const KernelTable*> tables = find_available();
  return tables;
}

const KernelTable& kernels() {
  static const KernelTable& table = choose();
  return table;
}

}  // namespace llm::kernels
