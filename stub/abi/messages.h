/* The boot transcript: every line that the stub prints when all goes well, and its warnings.
 * The reference model prints the same lines from the same text. Each begins with "bootwright: ".
 * %u decimal, %x hex with 0x, %s string; at most six values, a sixth in sixth_value. */

#define M_PREFIX        "bootwright: "

#define M_ENTRY         "image %s build %s at [%x, %x), entered by %s from %s"
#define M_CPU           "cpu: %s, long mode"
#define M_SCREEN        "screen: %u x %u x %u at %x, pitch %u"
#define M_TABLES        "tables: %u bytes, %u domains, %u modules"
#define M_MEMORY        "memory: %u ranges, %u MiB of RAM, RSDP at %x"
#define M_RANGE         "memory: [%x, %x) type %u"
#define M_MODULE        "module %u: %s %s at [%x, %x)"
#define M_MODULE_MOVED  "module %u: moved from [%x, %x) to [%x, %x)"
#define M_MODULE_LEFT   "warning: module %u of the loader (%s) is not in the tables"
#define M_FALLBACK      "builder: no tables and no device tree: module 0 is the kernel of domain dom0"
#define M_RAMDISKS      "warning: %u modules could be the ramdisk; module %u is picked"
#define M_DEVICE_TREE   "builder: device tree of %u bytes in module 0"
#define M_PROBED        "d%u: domain %s: kernel for %s, entry %x"
#define M_HYPERVISOR    "builder: hypervisor %s builds the domains"
#define M_LOADER_NAME   "bootwright"
#define M_BUILDER       "builder: %u domains"
#define M_DOMAIN        "d%u: domain %s, kernel %s, ramdisk %s, %u MiB"
#define M_SKIPPED       "warning: domain %s is not built: the native launcher builds only the initial domain"
#define M_NO_XENSTORE   "warning: no domain has the xenstore function"
#define M_NO_CONSOLE    "warning: no domain has the console function"
#define M_CMDLINE       "d%u: command line: %s"
#define M_KERNEL_MOVED  "d%u: kernel moved from [%x, %x), which is not free RAM, to [%x, %x)"
#define M_BUILT         "d%u: built, %u of %u domains"
#define M_HWDOM         "d%u: domain %s is the hardware domain"
#define M_EFI           "firmware: system table at %x, memory map at [%x, %x), %u bytes an entry, version %u"
#define M_EFI_SERVICES  "firmware: system table at %x, image handle %x, boot services go on"
#define M_LAUNCH        "launch by %s: entry %x, information at [%x, %x), CRC-32 %x"

#define M_FAILED_HALT   "halted"
#define M_FAILED_REBOOT "rebooting in %u seconds"

/* Registers at a cpu exception. */
#define M_REGISTERS_1   "rax %x rbx %x rcx %x rdx %x"
#define M_REGISTERS_2   "rsi %x rdi %x rbp %x r8 %x"
#define M_REGISTERS_3   "r8 %x r9 %x r10 %x r11 %x"
#define M_REGISTERS_4   "r12 %x r13 %x r14 %x r15 %x"
#define M_REGISTERS_5   "cr0 %x cr2 %x cr3 %x cr4 %x"
#define M_REGISTERS_6   "rsp %x rflags %x cs %x"
