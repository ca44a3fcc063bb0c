/* Tells a Valkey's wall clock by a file that says by how many seconds it is ahead. What measures time is
 * left alone, as it is when NTP or an operator sets a clock. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static volatile double *ahead;
static int (*the_clock)(clockid_t, struct timespec *);

__attribute__((constructor)) static void follow(void) {
  the_clock = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  const char *path = getenv("ADJUSTABLE_CLOCK");
  int file = path ? open(path, O_RDONLY) : -1;
  void *shared = file < 0 ? MAP_FAILED : mmap(NULL, sizeof(double), PROT_READ, MAP_SHARED, file, 0);
  if (shared != MAP_FAILED)
    ahead = shared;
}

static struct timespec turned(void) {
  struct timespec now;
  the_clock(CLOCK_REALTIME, &now);
  now.tv_sec += ahead ? (time_t)floor(*ahead) : 0;
  return now;
}

int clock_gettime(clockid_t which, struct timespec *told) {
  if (which != CLOCK_REALTIME && which != CLOCK_REALTIME_COARSE)
    return the_clock(which, told);
  *told = turned();
  return 0;
}

int gettimeofday(struct timeval *told, void *zone) {
  (void)zone;
  struct timespec now = turned();
  told->tv_sec = now.tv_sec;
  told->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *told) {
  time_t now = turned().tv_sec;
  if (told)
    *told = now;
  return now;
}
