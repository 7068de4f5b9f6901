/* What KVM tells its guests by CPUID, and its clock: Linux, Documentation/virt/kvm/x86/cpuid.rst and msr.rst. */

#define KVM_CPUID_SIGNATURE         0x40000000  /* EAX: KVM_CPUID_FEATURES; EBX, ECX, EDX: "KVMKVMKVM", and zeros */
#define KVM_SIGNATURE_EBX           0x4b4d564b
#define KVM_SIGNATURE_ECX           0x564b4d56
#define KVM_SIGNATURE_EDX           0x4d
#define KVM_CPUID_FEATURES          0x40000001
#define KVM_FEATURE_NOP_IO_DELAY    (1 << 1)    /* EAX: no port needs a pause behind it */
#define KVM_FEATURE_CLOCKSOURCE2    (1 << 3)    /* the clock is at the two MSRs below */
#define KVM_FEATURE_CLOCKSOURCE_STABLE (1 << 24)    /* PVCLOCK_TSC_STABLE is true */

#define MSR_KVM_WALL_CLOCK_NEW      0x4b564d00  /* a write: address of a pvclock_wall_clock, filled at once */
#define MSR_KVM_SYSTEM_TIME_NEW     0x4b564d01  /* a write: address of a pvclock_vcpu_time_info, kept filled */
#define KVM_MSR_ENABLED             (1 << 0)    /* of the address: the clock is wanted */

#define PVCLOCK_TSC_STABLE          (1 << 0)    /* flags: every cpu's clock says the same */

/* Nanoseconds since the start: system_time + (((TSC - tsc_timestamp) << tsc_shift) * tsc_to_system_mul >> 32). */
struct pvclock_vcpu_time_info {
    uint32 version;         /* odd while it is written */
    uint32 pad0;
    uint64 tsc_timestamp;
    uint64 system_time;
    uint32 tsc_to_system_mul;
    int8   tsc_shift;       /* below 0: to the right */
    uint8  flags;
    uint8  pad[2];
};

struct pvclock_wall_clock { /* the time of day at the start */
    uint32 version;         /* odd while it is written */
    uint32 sec;
    uint32 nsec;
};
