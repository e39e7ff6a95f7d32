/* A stand-in for NVIDIA's library: it has the functions that pynvml asks for and plays a trace on two cards.

   The trace and the time come from the test, through the functions at the end. */

#include <string.h>
#include <unistd.h>

#define CARDS 2
#define ROWS 4096
#define SUCCESS 0
#define NOT_SUPPORTED 3
#define NOT_FOUND 6
#define LOST 15
#define SLICE 2

typedef struct { double t; unsigned long long mj; unsigned mw, celsius, mhz, percent; unsigned long long reasons; } Row;
typedef struct { Row rows[ROWS]; int count, counter_error, power_error, instant, mig, shows_us;
                 double lost_at; } Card;
typedef struct { unsigned field, scope; long long stamp, latency; unsigned type, result;
                 union { double d; unsigned u; unsigned long long ull; } value; } Field;

typedef struct { unsigned pid; unsigned long long bytes; unsigned instance, compute; } Process;

static Card cards[CARDS], slices[CARDS];
static double now;
static int init_error, opened;
static unsigned long long used; /* 0: what the functions below tell by themselves */
static const char *uuids[CARDS] = {"GPU-11111111-2222-3333-4444-555555555550",
                                   "GPU-11111111-2222-3333-4444-555555555551"};

static const char *words(int code) {
  switch (code) {
    case SUCCESS: return "Success";
    case NOT_SUPPORTED: return "Not Supported";
    case 4: return "Insufficient Permissions";
    case NOT_FOUND: return "Not Found";
    case 9: return "Driver Not Loaded";
    case LOST: return "GPU is lost";
    default: return "Unknown Error";
  }
}

static int lost(const Card *card) { return card->lost_at >= 0 && now >= card->lost_at; }

static const Row *row_of(const Card *card) {
  const Row *found = &card->rows[0];
  for (int at = 0; at < card->count && card->rows[at].t <= now + 1e-9; at++) found = &card->rows[at];
  return found;
}

int nvmlInitWithFlags(unsigned flags) { (void)flags; if (!init_error) opened++; return init_error; }
int nvmlShutdown(void) { if (!opened) return 1; opened--; return SUCCESS; }
const char *nvmlErrorString(int code) { return words(code); }

int nvmlDeviceGetHandleByUUID(const char *uuid, Card **card) {
  size_t length = strlen(uuid);
  int at = length ? uuid[length - 1] - '0' : -1;
  /* a slice of a card has a UUID of its own, and MIG- before it */
  int slice = at >= 0 && at < CARDS && cards[at].mig == SLICE;
  if (strncmp(uuid, slice ? "MIG-" : "GPU-", 4) || at < 0 || at >= CARDS || !cards[at].count) return NOT_FOUND;
  *card = &cards[at];
  return lost(*card) ? LOST : SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
  for (*count = 0; *count < CARDS && cards[*count].count;) ++*count;
  return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Card **card) {
  if (index >= CARDS || !cards[index].count) return NOT_FOUND;
  *card = &cards[index];
  return SUCCESS;
}

static int is_slice(const Card *card) { return card >= slices && card < slices + CARDS; }

int nvmlDeviceGetName(Card *card, char *name, unsigned length) {
  strncpy(name, is_slice(card) ? "NVIDIA H100 80GB HBM3 MIG 1g.10gb" : "NVIDIA H100 80GB HBM3", length);
  return SUCCESS;
}

/* The first slice of a card that is divided has number 2: they are numbered with gaps. */
int nvmlDeviceGetMaxMigDeviceCount(Card *card, unsigned *count) { *count = card->mig > 0 ? 7 : 0; return SUCCESS; }

int nvmlDeviceGetMigDeviceHandleByIndex(Card *card, unsigned index, Card **slice) {
  if (index < 2) return NOT_FOUND;
  *slice = &slices[card - cards];
  return SUCCESS;
}

int nvmlDeviceGetUUID(Card *card, char *uuid, unsigned length) {
  if (is_slice(card)) strncpy(uuid, "MIG-99999999-2222-3333-4444-555555555550", length);
  else strncpy(uuid, uuids[card - cards], length);
  return SUCCESS;
}

int nvmlSystemGetDriverVersion(char *version, unsigned length) {
  strncpy(version, "550.54.15", length);
  return SUCCESS;
}

int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = 12040; return SUCCESS; }

int nvmlDeviceGetMigMode(Card *card, unsigned *current, unsigned *pending) {
  if (is_slice(card)) return NOT_SUPPORTED;
  if (card->mig < 0) return NOT_SUPPORTED;
  *current = *pending = (unsigned)card->mig;
  return SUCCESS;
}

int nvmlDeviceGetTotalEnergyConsumption(Card *card, unsigned long long *mj) {
  if (lost(card)) return LOST;
  if (card->counter_error) return card->counter_error;
  *mj = row_of(card)->mj;
  return SUCCESS;
}

int nvmlDeviceGetPowerUsage(Card *card, unsigned *mw) {
  if (lost(card)) return LOST;
  if (card->power_error) return card->power_error;
  *mw = row_of(card)->mw;
  return SUCCESS;
}

int nvmlDeviceGetFieldValues(Card *card, int count, Field *fields) {
  if (lost(card)) return LOST;
  for (int at = 0; at < count; at++) {
    fields[at].result = card->power_error ? (unsigned)card->power_error : card->instant ? SUCCESS : NOT_SUPPORTED;
    fields[at].value.ull = 0;
    fields[at].value.u = row_of(card)->mw;
  }
  return SUCCESS;
}

int nvmlDeviceGetTemperature(Card *card, int sensor, unsigned *celsius) {
  (void)sensor;
  *celsius = row_of(card)->celsius;
  return lost(card) ? LOST : SUCCESS;
}

int nvmlDeviceGetClockInfo(Card *card, int kind, unsigned *mhz) {
  (void)kind;
  *mhz = row_of(card)->mhz;
  return lost(card) ? LOST : SUCCESS;
}

int nvmlDeviceGetEnforcedPowerLimit(Card *card, unsigned *mw) { *mw = 700000; return lost(card) ? LOST : SUCCESS; }

int nvmlDeviceGetUtilizationRates(Card *card, unsigned *percents) {
  if (card->mig > 0) return NOT_SUPPORTED;
  percents[0] = row_of(card)->percent;
  percents[1] = 0;
  return lost(card) ? LOST : SUCCESS;
}

int nvmlDeviceGetCurrentClocksEventReasons(Card *card, unsigned long long *reasons) {
  *reasons = row_of(card)->reasons;
  return lost(card) ? LOST : SUCCESS;
}

int nvmlDeviceGetMemoryInfo(Card *card, unsigned long long *bytes) {
  bytes[0] = (is_slice(card) ? 10ull : 80ull) << 30;
  bytes[2] = used ? used : now >= 1 ? 24ull << 30 : 20ull << 30;
  bytes[1] = bytes[0] - bytes[2];
  return lost(card) ? LOST : SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v3(Card *card, unsigned *count, Process *users) {
  if (lost(card)) return LOST;
  if (!card->shows_us) { *count = 0; return SUCCESS; }
  if (!users || *count < 1) { *count = 1; return 7; }
  *count = 1;
  users[0].pid = (unsigned)getpid();
  users[0].bytes = 9ull << 30;
  return SUCCESS;
}

/* What the test calls. */

void stand_in_reset(int error) {
  memset(cards, 0, sizeof cards);
  for (int at = 0; at < CARDS; at++) { cards[at].lost_at = slices[at].lost_at = -1; cards[at].mig = -1; cards[at].instant = 1; }
  now = 0;
  used = 0;
  init_error = error;
}

void stand_in_card(int card, int counter_error, int power_error, int instant, int mig, double lost_at) {
  cards[card].counter_error = counter_error;
  cards[card].power_error = power_error;
  cards[card].instant = instant;
  cards[card].mig = mig;
  cards[card].lost_at = lost_at;
}

void stand_in_row(int card, double t, unsigned long long mj, unsigned mw, unsigned celsius, unsigned mhz,
                  unsigned percent, unsigned long long reasons) {
  Row row = {t, mj, mw, celsius, mhz, percent, reasons};
  if (cards[card].count < ROWS) cards[card].rows[cards[card].count++] = row;
}

void stand_in_shows_us(int card) { cards[card].shows_us = 1; }
void stand_in_uses(unsigned long long bytes) { used = bytes; }
void stand_in_time(double t) { now = t; }
int stand_in_opened(void) { return opened; }
