/* A disk that is slow, and a count of how often it is told to keep what it has.
 *
 * Preloaded into a server, it counts each fsync, fdatasync and sync_file_range, and has each take longer. The file
 * LENTIL_FSYNC_FILE holds two 64-bit numbers, shared with the one who measures: how many calls there were, and by how
 * many microseconds each is delayed now. Without that file, LENTIL_FSYNC_MS is the delay.
 *
 *     cc -O2 -shared -fPIC -o slow_fsync.so slow_fsync.c
 *     LENTIL_FSYNC_MS=2 LD_PRELOAD=./slow_fsync.so clonk
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct shared {
    uint64_t calls;
    uint64_t delay_us;
};

static struct shared own;
static struct shared *shared = &own;

__attribute__((constructor)) static void open_shared(void) {
    const char *delay_ms = getenv("LENTIL_FSYNC_MS");
    if (delay_ms)
        own.delay_us = (uint64_t)(atof(delay_ms) * 1000);
    const char *path = getenv("LENTIL_FSYNC_FILE");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *mapped = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED)
        shared = mapped;
    close(fd);
}

/* Waits first, and then has the disk do it: were it the other way round, a busy core that lets the caller wait for its
 * turn after the disk's answer would make the disk slower than it is said to be. */
static void count_and_wait(void) {
    __atomic_add_fetch(&shared->calls, 1, __ATOMIC_RELAXED);
    uint64_t delay_us = __atomic_load_n(&shared->delay_us, __ATOMIC_RELAXED);
    struct timespec rest = {(time_t)(delay_us / 1000000), (long)(delay_us % 1000000) * 1000};
    while (delay_us && nanosleep(&rest, &rest) != 0) {
    }
}

int fsync(int fd) {
    count_and_wait();
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd) {
    count_and_wait();
    return (int)syscall(SYS_fdatasync, fd);
}

int sync_file_range(int fd, off64_t offset, off64_t length, unsigned int flags) {
    count_and_wait();
    return (int)syscall(SYS_sync_file_range, fd, offset, length, flags);
}
