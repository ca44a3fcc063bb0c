/* Adds an offset, in seconds, from a shared file to Valkey's wall clock. The monotonic clock is not changed, as when
 * NTP or an operator sets the clock. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static volatile double *offset;
static int (*real_clock_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void map_offset(void) {
  real_clock_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  const char *path = getenv("ADJUSTABLE_CLOCK");
  int file = path ? open(path, O_RDONLY) : -1;
  void *shared = file < 0 ? MAP_FAILED : mmap(NULL, sizeof(double), PROT_READ, MAP_SHARED, file, 0);
  if (shared != MAP_FAILED)
    offset = shared;
}

static struct timespec adjusted_now(void) {
  struct timespec now;
  real_clock_gettime(CLOCK_REALTIME, &now);
  now.tv_sec += offset ? (time_t)floor(*offset) : 0;
  return now;
}

int clock_gettime(clockid_t which, struct timespec *result) {
  if (which != CLOCK_REALTIME && which != CLOCK_REALTIME_COARSE)
    return real_clock_gettime(which, result);
  *result = adjusted_now();
  return 0;
}

int gettimeofday(struct timeval *result, void *zone) {
  (void)zone;
  struct timespec now = adjusted_now();
  result->tv_sec = now.tv_sec;
  result->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *result) {
  time_t now = adjusted_now().tv_sec;
  if (result)
    *result = now;
  return now;
}
