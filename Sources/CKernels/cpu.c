#include "cpu.h"

#include <stdlib.h>
#include <string.h>

slk_cpu_choice slk_cpu = {SLK_TIER_REFERENCE, false, false, false};

#if defined(__x86_64__)
#include <cpuid.h>

static unsigned long long enabled_state(void) {
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return ((unsigned long long)high << 32) | low;
}

static bool has(unsigned word, unsigned bit) { return (word >> bit) & 1u; }

static slk_cpu_choice detect(void) {
  slk_cpu_choice choice = {SLK_TIER_REFERENCE, false, false, false};
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return choice;
  bool fma = has(c, 12), system_saves = has(c, 27), avx = has(c, 28);
  if (!fma || !system_saves || !avx) return choice;
  unsigned long long state = enabled_state();
  if ((state & 0x6) != 0x6) return choice;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return choice;
  bool avx2 = has(b, 5), bmi = has(b, 3), bmi2 = has(b, 8);
  if (!avx2 || !bmi || !bmi2) return choice;
  choice.tier = SLK_TIER_AVX2;
  bool avx512 = has(b, 16) && has(b, 17) && has(b, 30) && has(b, 31);
  if (!avx512 || (state & 0xe6) != 0xe6) return choice;
  choice.tier = SLK_TIER_AVX512;
  choice.vnni = has(c, 11);
  choice.vbmi = has(c, 1);
  unsigned leaf_count = a;
  if (leaf_count >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) choice.bf16 = has(a, 5);
  return choice;
}
#else
static slk_cpu_choice detect(void) {
  return (slk_cpu_choice){SLK_TIER_REFERENCE, false, false, false};
}
#endif

__attribute__((constructor)) static void choose(void) {
  slk_cpu_choice choice = detect();
  const char *wish = getenv("STACKLENS_CPU");
  slk_tier limit = SLK_TIER_AVX512;
  bool extensions = true;
  if (wish && strcmp(wish, "native") != 0) {
    if (strcmp(wish, "reference") == 0) limit = SLK_TIER_REFERENCE;
    if (strcmp(wish, "avx2") == 0) limit = SLK_TIER_AVX2;
    bool known = limit != SLK_TIER_AVX512 || strcmp(wish, "avx512") == 0;
    if (known) extensions = false;
  }
  if (choice.tier > limit) choice.tier = limit;
  choice.vnni = choice.vnni && extensions;
  choice.vbmi = choice.vbmi && extensions;
  choice.bf16 = choice.bf16 && extensions;
  slk_cpu = choice;
}

slk_tier slk_cpu_tier(void) { return slk_cpu.tier; }
bool slk_cpu_has_vnni(void) { return slk_cpu.vnni; }
bool slk_cpu_has_bf16(void) { return slk_cpu.bf16; }

const char *slk_cpu_tier_name(void) {
  switch (slk_cpu.tier) {
    case SLK_TIER_AVX512: return "avx512";
    case SLK_TIER_AVX2: return "avx2";
    default: return "reference";
  }
}
