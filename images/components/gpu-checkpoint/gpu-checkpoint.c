/*
 * gpu-checkpoint takes the memory of a CUDA process off the GPU, and puts it back.
 *
 * The command line and the output are those of NVIDIA's cuda-checkpoint, so that runsc and CRIU can
 * start it. All work is done by the driver's library, libcuda, which is loaded at run time.
 * It runs in users' containers: it needs glibc 2.17 or later, and no other library.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef VERSION
#define VERSION "unknown"
#endif

#define NAME "gpu-checkpoint"
#define LIBRARY "libcuda.so.1"
#define MAX_PAIRS 64

enum { FAILED = 1, USAGE = 2 };

/*
 * What this program uses of cuda.h: the group CUDA_CHECKPOINT of CUDA 12.8, and the GPU pairs of
 * CUDA 13.0. All structures have 64 bytes; bytes that are not used must be zero.
 * https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__CHECKPOINT.html
 */
typedef struct {
  unsigned char bytes[16];
} uuid;

typedef struct {
  uuid old;
  uuid new;
} gpu_pair;

typedef union {
  unsigned timeout_ms; /* CUcheckpointLockArgs */
  struct {             /* CUcheckpointRestoreArgs */
    gpu_pair *pairs;
    unsigned count;
  };
  unsigned char reserved[64]; /* all four */
} arguments;

enum { RUNNING, LOCKED, CHECKPOINTED, FAILURE, STATES };
static const char *const state_names[STATES] = {"running", "locked", "checkpointed", "failed"};

enum { LOCK, CHECKPOINT, RESTORE, UNLOCK, ACTIONS };
static const char *const action_names[ACTIONS] = {"lock", "checkpoint", "restore", "unlock"};
static const char *const action_symbols[ACTIONS] = {
    "cuCheckpointProcessLock", "cuCheckpointProcessCheckpoint", "cuCheckpointProcessRestore",
    "cuCheckpointProcessUnlock"};

/* The first version of libcuda, as cuDriverGetVersion has it, that restores on other GPUs. */
enum { MAPS_DEVICES = 13000 };

typedef int action_call(int, arguments *);
typedef int number_call(int, int *);
typedef int text_call(int, const char **);
typedef int version_call(int *);

typedef enum { NONE, GET_STATE, GET_RESTORE_TID, TOGGLE, ACTION, HELP, PRINT_VERSION } operation;

typedef struct {
  operation operation;
  int action;
  int pid;
  unsigned timeout_ms;
  unsigned count;
  gpu_pair pairs[MAX_PAIRS];
} request;

static void *library;

/* What a result usually means here, and what to do. cuda.h has the numbers, in CUresult. */
static const struct {
  int result;
  const char *advice;
} results[] = {
    {1, "the driver refuses the arguments; check the pid, and that --device-map names all GPUs of"
        " the process"},
    {2, "memory is short; free host memory for a checkpoint, or GPU memory for a restore"},
    {3, "the process has not called CUDA, or its CUDA has ended; check the pid"},
    {34, "this libcuda is the stub for linking; remove it from LD_LIBRARY_PATH"},
    {36, "the driver is older than this call; take a newer driver"},
    {46, "another process uses the GPU exclusively; wait for it, or change the compute mode"},
    {100, "no GPU is visible here; give the container the GPU's devices"},
    {101, "a GPU of the checkpoint is missing; give the container as many GPUs, or --device-map"},
    {209, "the GPU is of another model than that of the checkpoint; restore on the same model"},
    {304, "the driver cannot reach the process; run as its user, in its PID namespace and"
          " container"},
    {400, "the driver does not know the process; check the pid"},
    {401, "the state of the process does not allow this; see --get-state"},
    {600, "GPU work of the process did not end in time; try again, or with a longer --timeout"},
    {800, "the process is of another user, or ptrace is forbidden; run as its user or as root"},
    {801, "the driver cannot save what the process uses, such as managed memory or memory shared"
          " over CUDA IPC; do without, or take a newer driver"},
    {802, "the GPUs are not ready; wait for the fabric manager"},
    {803, "libcuda is not that of the kernel driver; mount the libraries of the node's driver"},
    {804, "this forward-compatible libcuda does not fit the GPU; use that of the node's driver"},
    {999, "the driver does not name the cause; see the kernel log of the node, and whether the"
          " process still runs"},
};

static int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int misused(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *format, va_list values) {
  fputs(NAME ": ", stderr);
  vfprintf(stderr, format, values);
  fputc('\n', stderr);
}

static int fail(const char *format, ...) {
  va_list values;
  va_start(values, format);
  say(format, values);
  va_end(values);
  return FAILED;
}

static const char usage[] =
    "usage: " NAME " --get-state --pid PID\n"
    "       " NAME " --toggle --pid PID\n"
    "       " NAME " --action lock --pid PID [--timeout MS]\n"
    "       " NAME " --action checkpoint|unlock --pid PID\n"
    "       " NAME " --action restore --pid PID [--device-map OLD=NEW,...]\n"
    "       " NAME " --get-restore-tid --pid PID\n";

static const char help[] =
    "\n"
    "Takes the memory of a CUDA process off the GPU, and puts it back.\n"
    "\n"
    "  --get-state          print the state: running, locked, checkpointed or failed\n"
    "  --toggle             take a running process off the GPU, or put it back and let it run\n"
    "  -a, --action ACTION  one step of that: lock, checkpoint, restore or unlock\n"
    "  --get-restore-tid    print the thread of the process that restores CUDA\n"
    "  -p, --pid PID        the process\n"
    "  -t, --timeout MS     lock: how long to wait for work on the GPU; the default has no limit\n"
    "  -d, --device-map OLD=NEW,...\n"
    "                       restore: other GPUs, each UUID as `nvidia-smi -L` prints it; name all\n"
    "                       GPUs of the process; needs a driver with CUDA 13 (branch 580)\n"
    "  -V, --version        print the version\n"
    "  -h, --help           print this text\n"
    "\n"
    "It needs libcuda of driver branch 570 or later. Exit codes: 0, 1 for a failure, 2 for wrong\n"
    "arguments.\n";

static int misused(const char *format, ...) {
  va_list values;
  va_start(values, format);
  say(format, values);
  va_end(values);
  fputs(usage, stderr);
  return USAGE;
}

/* The number of a text that is nothing else, from 1 or 0 on; -1 for other texts. */
static int number(const char *text, int least) {
  char *end;
  errno = 0;
  long value = strtol(text, &end, 10);
  if (!isdigit((unsigned char)*text) || *end || errno || value < least || value > INT_MAX)
    return -1;
  return (int)value;
}

/* Read a UUID in the form of `nvidia-smi -L`; false for other texts. */
static int read_uuid(const char *text, size_t length, uuid *found) {
  static const char shape[] = "GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  unsigned digits = 0;
  if (length != sizeof(shape) - 1)
    return 0;
  for (size_t i = 0; i < length; i++) {
    if (shape[i] != 'x') {
      if (text[i] != shape[i])
        return 0;
      continue;
    }
    if (!isxdigit((unsigned char)text[i]))
      return 0;
    const char digit[] = {text[i], 0};
    unsigned char *byte = &found->bytes[digits++ / 2];
    *byte = (unsigned char)(*byte << 4 | strtol(digit, NULL, 16));
  }
  return 1;
}

/* Read OLD=NEW,... into a request; false if it is something else. */
static int read_pairs(const char *text, request *wanted) {
  while (wanted->count < MAX_PAIRS) {
    gpu_pair *pair = &wanted->pairs[wanted->count++];
    size_t length = strcspn(text, ",");
    const char *equal = memchr(text, '=', length);
    if (!equal || !read_uuid(text, (size_t)(equal - text), &pair->old) ||
        !read_uuid(equal + 1, (size_t)(text + length - equal - 1), &pair->new))
      return 0;
    if (!text[length])
      return 1;
    text += length + 1;
  }
  return 0;
}

static int named(const char *name, const char *const *names, int count) {
  for (int i = 0; i < count; i++)
    if (!strcmp(name, names[i]))
      return i;
  return -1;
}

static int choose(request *wanted, operation chosen) {
  if (wanted->operation)
    return misused("more than one operation; give one of --get-state, --toggle, --action and"
                   " --get-restore-tid");
  wanted->operation = chosen;
  return 0;
}

static int read_option(int option, request *wanted) {
  switch (option) {
  case 's':
    return choose(wanted, GET_STATE);
  case 'r':
    return choose(wanted, GET_RESTORE_TID);
  case 'g':
    return choose(wanted, TOGGLE);
  case 'a':
    wanted->action = named(optarg, action_names, ACTIONS);
    if (wanted->action < 0)
      return misused("--action %s: unknown; use lock, checkpoint, restore or unlock", optarg);
    return choose(wanted, ACTION);
  case 'p':
    wanted->pid = number(optarg, 1);
    return wanted->pid < 0 ? misused("--pid %s: not the number of a process", optarg) : 0;
  case 't': {
    int value = number(optarg, 0);
    wanted->timeout_ms = (unsigned)value;
    return value < 0 ? misused("--timeout %s: not a number of milliseconds", optarg) : 0;
  }
  case 'd':
    return read_pairs(optarg, wanted) ? 0 : misused("--device-map %s: not OLD=NEW,... with UUIDs as"
                                                    " `nvidia-smi -L` prints them", optarg);
  default:
    fputs(usage, stderr); /* getopt has named the fault */
    return USAGE;
  }
}

/* Whether a request has what it needs and nothing else: 0, or an exit code. */
static int check(const request *wanted) {
  if (!wanted->operation)
    return misused("no operation; give --get-state, --toggle, --action or --get-restore-tid");
  if (!wanted->pid)
    return misused("no process; give --pid");
  int action = wanted->operation == ACTION ? wanted->action : ACTIONS;
  if (wanted->timeout_ms && action != LOCK)
    return misused("--timeout is only for --action lock");
  if (wanted->count && action != RESTORE)
    return misused("--device-map is only for --action restore");
  return 0;
}

static int read_request(int count, char **values, request *wanted) {
  static const struct option options[] = {{"get-state", no_argument, NULL, 's'},
                                          {"toggle", no_argument, NULL, 'g'},
                                          {"action", required_argument, NULL, 'a'},
                                          {"get-restore-tid", no_argument, NULL, 'r'},
                                          {"pid", required_argument, NULL, 'p'},
                                          {"timeout", required_argument, NULL, 't'},
                                          {"device-map", required_argument, NULL, 'd'},
                                          {"version", no_argument, NULL, 'V'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  int option;
  while ((option = getopt_long(count, values, "a:p:t:d:Vh", options, NULL)) != -1) {
    if (option == 'h' || option == 'V') {
      wanted->operation = option == 'h' ? HELP : PRINT_VERSION;
      return 0;
    }
    int code = read_option(option, wanted);
    if (code)
      return code;
  }
  if (optind < count)
    return misused("%s: unexpected argument", values[optind]);
  return check(wanted);
}

/* A function of libcuda, to be cast to its type; NULL if this libcuda has none of this name. */
static void *function(const char *symbol) { return dlsym(library, symbol); }

/* The version of CUDA that libcuda supports, such as 12080; 0 if it does not tell. */
static int cuda_version(void) {
  version_call *get = (version_call *)function("cuDriverGetVersion");
  int version = 0;
  return get && !get(&version) ? version : 0;
}

/* Load libcuda; an exit code if it is absent, or too old for any request. */
static int load(void) {
  library = dlopen(LIBRARY, RTLD_NOW);
  if (!library)
    return fail("cannot load NVIDIA's driver library (%s); give the container the libraries of the"
                " node's driver, in a folder of its ld.so.cache or of LD_LIBRARY_PATH", dlerror());
  if (function("cuCheckpointProcessGetState") && function(action_symbols[LOCK]))
    return 0;
  int version = cuda_version();
  return fail(LIBRARY " supports CUDA %d.%d and has no checkpoints; they need driver branch 570 or"
              " later on the node", version / 1000, version % 1000 / 10);
}

/* Report that the driver refused a call. */
static int refused(const char *symbol, int pid, int result) {
  text_call *get_name = (text_call *)function("cuGetErrorName");
  text_call *get_text = (text_call *)function("cuGetErrorString");
  const char *name = NULL, *text = NULL;
  const char *advice = "see the CUresult of this number in cuda.h";
  if (!get_name || get_name(result, &name) || !name)
    name = "CUDA error";
  if (!get_text || get_text(result, &text) || !text)
    text = "no description";
  for (size_t i = 0; i < sizeof(results) / sizeof(*results); i++)
    if (results[i].result == result)
      advice = results[i].advice;
  return fail("%s of process %d: %s (%d, %s): %s", symbol, pid, name, result, text, advice);
}

static int lacking(const char *symbol) {
  return fail(LIBRARY " has no %s; take a newer driver on the node", symbol);
}

/* Ask for a number about a process. */
static int ask(const char *symbol, int pid, int *answer) {
  number_call *get = (number_call *)function(symbol);
  if (!get)
    return lacking(symbol);
  int result = get(pid, answer);
  return result ? refused(symbol, pid, result) : 0;
}

static int get_state(int pid, int *state) {
  int code = ask("cuCheckpointProcessGetState", pid, state);
  if (!code && (*state < 0 || *state >= STATES))
    return fail("process %d is in state %d, which this program does not know", pid, *state);
  return code;
}

static int act(int action, const request *wanted) {
  arguments given = {.reserved = {0}};
  action_call *call = (action_call *)function(action_symbols[action]);
  if (!call)
    return lacking(action_symbols[action]);
  if (action == LOCK)
    given.timeout_ms = wanted->timeout_ms;
  if (action == RESTORE && wanted->count) {
    int version = cuda_version();
    if (version < MAPS_DEVICES)
      return fail("--device-map: the driver supports CUDA %d.%d; other GPUs need CUDA 13.0 (branch"
                  " 580)", version / 1000, version % 1000 / 10);
    given.pairs = (gpu_pair *)wanted->pairs;
    given.count = wanted->count;
  }
  int result = call(wanted->pid, &given);
  return result ? refused(action_symbols[action], wanted->pid, result) : 0;
}

/* Take a running process off the GPU; if that fails, let it run on. */
static int leave(const request *wanted) {
  int code = act(LOCK, wanted);
  if (code)
    return code;
  code = act(CHECKPOINT, wanted);
  int state;
  if (code && !get_state(wanted->pid, &state) && state == LOCKED)
    act(UNLOCK, wanted);
  return code;
}

static int toggle(const request *wanted) {
  int state;
  int code = get_state(wanted->pid, &state);
  if (code)
    return code;
  switch (state) {
  case RUNNING:
    return leave(wanted);
  case CHECKPOINTED:
    code = act(RESTORE, wanted);
    return code ? code : act(UNLOCK, wanted);
  case LOCKED:
    return fail("process %d is locked, between running and checkpointed; use --action checkpoint or"
                " --action unlock", wanted->pid);
  default:
    return fail("CUDA has failed in process %d; only a new process can use the GPU", wanted->pid);
  }
}

static int run(const request *wanted) {
  int value, code;
  if (kill(wanted->pid, 0) && errno == ESRCH)
    return fail("there is no process %d in this PID namespace", wanted->pid);
  code = load();
  if (code)
    return code;
  switch (wanted->operation) {
  case TOGGLE:
    return toggle(wanted);
  case ACTION:
    return act(wanted->action, wanted);
  case GET_STATE:
    code = get_state(wanted->pid, &value);
    if (!code)
      puts(state_names[value]);
    return code;
  default:
    code = ask("cuCheckpointProcessGetRestoreThreadId", wanted->pid, &value);
    if (!code)
      printf("%d\n", value);
    return code;
  }
}

int main(int count, char **values) {
  static request wanted;
  if (count > 0)
    values[0] = (char *)NAME; /* callers name it cuda-checkpoint */
  int code = read_request(count, values, &wanted);
  if (code)
    return code;
  if (wanted.operation == HELP)
    printf("%s%s", usage, help);
  else if (wanted.operation == PRINT_VERSION)
    puts(NAME " " VERSION);
  else
    code = run(&wanted);
  if (fflush(stdout))
    return fail("cannot write the answer: %s", strerror(errno));
  return code;
}
