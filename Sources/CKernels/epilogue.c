#include "epilogue.h"

#include "slk_elementwise.h"
#include "unary.h"

#define SLK_TEMPLATE "epilogue.inc.h"
#include "tiers.h"

slk_epilogue slk_epilogue_none(void) {
  slk_epilogue epilogue = {0};
  epilogue.alpha = 1.0f;
  epilogue.beta = 1.0f;
  return epilogue;
}
