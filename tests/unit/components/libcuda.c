/*
 * A stand-in for the driver's library. It records each call, and fails as its environment says:
 *
 *   LOG       the file to which a line for each call is added: name, process, arguments in hex
 *   STATE     the state of the process at the start
 *   FAULTS    results of calls, such as cuCheckpointProcessLock=801,cuGetErrorName=1
 *   CUDA      the version of CUDA
 *
 * -DOLD leaves out what libcuda has since branch 570.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *setting(const char *name, const char *otherwise) {
  const char *value = getenv(name);
  return value ? value : otherwise;
}

static int fault(const char *call) {
  const char *found = strstr(setting("FAULTS", ""), call);
  return found ? atoi(found + strlen(call) + 1) : 0;
}

int cuDriverGetVersion(int *version) {
  *version = atoi(setting("CUDA", "13000"));
  return fault(__func__);
}

int cuGetErrorName(int result, const char **name) {
  static char text[32];
  snprintf(text, sizeof(text), "NAME_OF_%d", result);
  *name = text;
  return fault(__func__);
}

int cuGetErrorString(int result, const char **description) {
  static char text[32];
  snprintf(text, sizeof(text), "text of %d", result);
  *description = text;
  return fault(__func__);
}

#ifndef OLD
static int state = -1;

static void record(const char *call, int pid, const unsigned char *bytes, unsigned count) {
  FILE *log = fopen(setting("LOG", "/dev/null"), "a");
  if (!log)
    abort();
  fprintf(log, "%s %d ", call, pid);
  for (unsigned i = 0; i < count; i++)
    fprintf(log, "%02x", bytes[i]);
  fputc('\n', log);
  fclose(log);
}

static int answer(const char *call, int pid, const unsigned char *arguments, int next) {
  record(call, pid, arguments, arguments ? 64 : 0);
  if (state < 0)
    state = atoi(setting("STATE", "0"));
  if (!fault(call) && next >= 0)
    state = next;
  return fault(call);
}

int cuCheckpointProcessGetState(int pid, int *found) {
  int result = answer(__func__, pid, NULL, -1);
  *found = state;
  return result;
}

int cuCheckpointProcessGetRestoreThreadId(int pid, int *thread) {
  *thread = pid + 1;
  return answer(__func__, pid, NULL, -1);
}

int cuCheckpointProcessLock(int pid, const unsigned char *arguments) {
  return answer(__func__, pid, arguments, 1);
}

int cuCheckpointProcessCheckpoint(int pid, const unsigned char *arguments) {
  return answer(__func__, pid, arguments, 2);
}

/* A line before that of the call has the pairs of GPUs. Their address is not in the log. */
int cuCheckpointProcessRestore(int pid, const unsigned char *arguments) {
  struct {
    const unsigned char *pairs;
    unsigned count;
    unsigned char reserved[52];
  } copy;
  memcpy(&copy, arguments, sizeof(copy));
  record("pairs", pid, copy.pairs, 32 * copy.count);
  copy.pairs = NULL;
  return answer(__func__, pid, (const unsigned char *)&copy, 1);
}

int cuCheckpointProcessUnlock(int pid, const unsigned char *arguments) {
  return answer(__func__, pid, arguments, 0);
}
#endif
