/* Everything that can go wrong at boot: a number, and a sentence with the values that matter.
 * Printed as "bootwright: E0404: ..."; the number is written in hex so that it reads as printed.
 * NAME_TEXT takes %u (decimal), %x (hex with 0x), %s (string); at most four values.
 * docs/errors.md is made from this file. Behind each sentence stands what `invoke explain` says of it: its values by name,
 * with an example each; what it means; what usually causes it; what to try. {name} stands for a value. */

/* 01: entry and cpu. The first is printed before long mode, without values. */
#define E_NO_LONG_MODE          0x0101
#define E_NO_LONG_MODE_TEXT     "this cpu has no 64-bit long mode; a 64-bit x86 cpu is needed"
/* means: The cpu cannot run 64-bit code, which the stub and all kernels that it starts are.
 * causes: a 32-bit machine; an emulator with a 32-bit cpu model; a firmware that hides it
 * try: another machine; QEMU: qemu-system-x86_64 with a 64-bit -cpu; firmware setup: the setting for 64-bit or
 *   long mode */
#define E_LOADER                0x0102
#define E_LOADER_TEXT           "entered with EAX %x, which is no loader's magic (multiboot1, multiboot2, PVH)"
/* values: magic=0x0
 * means: The stub was jumped to, but not by a loader that it knows: EAX holds {magic}, and each boot protocol has
 *   a value of its own there.
 * causes: a loader that starts the file as something else, such as `kernel` or `linux` instead of `multiboot2`; a
 *   chainloader that jumps to the entry point itself
 * try: in GRUB: `multiboot2 NAME.elf`; iPXE: `kernel NAME.elf`; on UEFI start NAME.efi; docs/media.md has every
 *   way */
#define E_EXCEPTION             0x0110
#define E_EXCEPTION_TEXT        "cpu exception %u (%s) at %x, error code %x"
/* values: vector=13; exception=general-protection; address=0x10a2f4; code=0x0
 * means: The cpu met exception {vector} ({exception}) while the stub ran, at {address}. The registers are in the
 *   lines behind it.
 * causes: memory that the map calls RAM and that is none; defective memory; a fault of the stub
 * try: look {address} up in NAME.lst; test the memory; another boot with `log = "debug"` shows the memory map;
 *   report it with the whole log and NAME.map */

/* 02: what the loader handed over. */
#define E_NO_MEMORY_MAP         0x0201
#define E_NO_MEMORY_MAP_TEXT    "the loader (%s) handed over no memory map"
/* values: loader=GRUB 2.06
 * means: Without a map of the memory nothing can be put anywhere. The loader ({loader}) handed over none.
 * causes: an old or very small loader; a multiboot1 loader that says only the sum of the memory
 * try: another loader, such as GRUB 2 or iPXE; on UEFI: NAME.efi, which asks the firmware itself */
#define E_TOO_MANY_RANGES       0x0202
#define E_TOO_MANY_RANGES_TEXT  "the memory map has more than %u entries"
/* values: most=512
 * means: The memory map is longer than the {most} entries that the stub reads.
 * causes: a firmware that splits its memory into many pieces; a damaged map
 * try: firmware setup: turn off what reserves memory in pieces; another way of booting (BIOS instead of UEFI, or
 *   the other way round); report it with the machine's probe */
#define E_TOO_MANY_MODULES      0x0203
#define E_TOO_MANY_MODULES_TEXT "the loader handed over more than %u modules"
/* values: most=63
 * means: The loader brought more modules than the {most} that the stub takes.
 * causes: a GRUB menu entry with a `module2` line for more files than the image needs
 * try: remove the lines of modules that this image has inside already: NAME.json lists those that the loader must
 *   bring */
#define E_STRING_TOO_LONG       0x0204
#define E_STRING_TOO_LONG_TEXT  "the loader's string at %x does not end within the %u bytes that it may take"
/* values: address=0x10a000; most=2048
 * means: A string that the loader handed over at {address} is longer than {most} bytes, or does not end.
 * causes: a very long command line of the loader; a string that is damaged
 * try: shorten the command line in the loader's menu; put what is always said into the description's `cmdline` */
#define E_LOADER_TAGS           0x0205
#define E_LOADER_TAGS_TEXT      "the loader's information at %x ends early: a part at %x says it is %u bytes long"
/* values: start=0x10000; part=0x10038; length=4096
 * means: The loader's information at {start} ends before its part at {part} does, which says that it has {length}
 *   bytes.
 * causes: a loader that counts otherwise than its specification; memory that was overwritten between the loader
 *   and the stub
 * try: another version of the loader; another way of booting; report it with the loader's name and version */
#define E_LOADER_ADDRESS        0x0206
#define E_LOADER_ADDRESS_TEXT   "the loader put something at %x that does not end within the 4 GiB that the stub reaches"
/* values: address=0x17ffff000
 * means: The loader put something at {address}; the stub reaches the first 4 GiB alone.
 * causes: a loader or a firmware that takes memory from the top
 * try: let the image be booted with its modules inside (`modules = "embedded"`); another loader; UEFI: NAME.efi */

#define E_STRING_SPACE          0x0207
#define E_STRING_SPACE_TEXT     "the strings of loader and device tree take more than %u bytes"
/* values: most=65536
 * means: All strings of the loader and the device tree together take more than {most} bytes.
 * causes: a device tree with very long command lines; many modules with long strings
 * try: shorten the command lines; fewer modules */

#define E_EFI_MEMORY_MAP        0x0208
#define E_EFI_MEMORY_MAP_TEXT   "the firmware's memory map cannot be used: status %x, %u bytes"
/* values: status=0x8000000000000005; bytes=16384
 * means: The firmware answered the question for its memory map with status {status}, or with a map of {bytes}
 *   bytes that cannot be.
 * causes: a map that is longer than the room for it; a fault of the firmware
 * try: update the firmware; boot by BIOS (CSM) where there is one; report it with the machine's probe */
#define E_EFI_EXIT              0x0209
#define E_EFI_EXIT_TEXT         "the firmware does not end its boot services: status %x, after %u tries"
/* values: status=0x8000000000000002; tries=8
 * means: The firmware does not end its boot services, with status {status}, though it was asked {tries} times.
 * causes: a driver of the firmware that changes the memory map each time; a fault of the firmware
 * try: detach what the firmware drives and the boot does not need (network, USB devices); update the firmware;
 *   start it by another loader, such as GRUB */

#define E_EFI_CLAIM             0x0210
#define E_EFI_CLAIM_TEXT        "%s needs [%x, %x), which the firmware does not give: status %x"
/* values: what=kernel dom0; start=0x1000000; end=0x4000000; status=0x800000000000000e
 * means: {what} must lie at [{start}, {end}), and the firmware does not give that memory: status {status}. While
 *   boot services run, all memory is the firmware's.
 * causes: the firmware, or a driver that it loaded, lies there
 * try: GRUB instead of the firmware's own start, or the other way round, since memory lies otherwise then; `plan
 *   NAME --machine M` shows what a stored machine has there; a kernel that can be moved */

#define E_EFI_ENDED             0x0211
#define E_EFI_ENDED_TEXT        "%s wants EFI's boot services running, and the loader (%s) has ended them: start the image's .efi"
/* values: what=xen; loader=GRUB 2.02
 * means: {what} needs the firmware's boot services, and the loader ({loader}) has ended them.
 * causes: a GRUB older than 2.04, which knows no header tag that asks for them; another loader that always ends
 *   them
 * try: start NAME.efi instead; a newer GRUB */

#define E_EFI_TAGS              0x0212
#define E_EFI_TAGS_TEXT         "entered as if EFI's boot services were running, but the loader says: running %u, system table %x, image handle %x"
/* values: running=1; table=0x0; handle=0x7f0e018
 * means: The stub was entered as if EFI's boot services went on, and the loader does not say all that this needs:
 *   running {running}, system table {table}, image handle {handle}.
 * causes: a loader that enters at the EFI entry without EFI's tags
 * try: start NAME.efi; another version of the loader */

#define E_EFI_PAGING            0x0213
#define E_EFI_PAGING_TEXT       "the firmware runs with page tables of 5 levels (CR4 %x), which the stub cannot take over: turn them off there"
/* values: cr4=0x10a0
 * means: The firmware left 5-level page tables on (CR4 {cr4}). The stub cannot leave them without leaving 64-bit
 *   mode first.
 * causes: a server firmware with 5-level paging switched on
 * try: firmware setup: switch 5-level paging (LA57) off */

#define E_LOADER_SIZE           0x0214
#define E_LOADER_SIZE_TEXT      "the %s at %x says that it takes %u bytes; at most %u are read"
/* values: what=information; address=0x10000; bytes=1048576; most=65536
 * means: The {what} at {address} says that it is {bytes} bytes long, and at most {most} are read: longer ones are
 *   taken for damaged.
 * causes: memory that was overwritten; a loader that hands over very much
 * try: another loader, or another way of booting; report it with the loader's name and version */

#define E_EFI_TABLES            0x0215
#define E_EFI_TABLES_TEXT       "the firmware says that it has %u configuration tables; at most %u are read"
/* values: count=4096; most=512
 * means: The firmware says that it has {count} configuration tables; more than {most} cannot be meant.
 * causes: a system table that is damaged or of another kind
 * try: update the firmware; boot by BIOS where there is one */

/* 03: the tables. */
#define E_TABLES_MAGIC          0x0301
#define E_TABLES_MAGIC_TEXT     "the tables at %x start with %x, not with the magic of bootwright's tables"
/* values: address=0x180000; found=0x0
 * means: Where the image's tables should lie, at {address}, there is something else: {found}.
 * causes: a loader that put a part of the image elsewhere or not at all; memory that is none; a file that was cut
 *   short
 * try: compare the file with NAME.json's hashes (`invoke run` does); write the stick again; another way of booting */
#define E_TABLES_VERSION        0x0302
#define E_TABLES_VERSION_TEXT   "the tables are version %u; this stub reads version %u"
/* values: found=3; known=4
 * means: The tables are of version {found}; this stub reads {known}. They are made together, so one of the two was
 *   exchanged.
 * causes: a file patched by hand; parts of two builds on one medium
 * try: build the image anew and write all of it */
#define E_TABLES_LENGTH         0x0303
#define E_TABLES_LENGTH_TEXT    "the tables say they are %u bytes long, but %u bytes were loaded"
/* values: said=4096; loaded=2048
 * means: The tables say that they are {said} bytes long, and only {loaded} were loaded.
 * causes: a file that was cut short; a loader that does not load all of it
 * try: compare the file's size with NAME.json; write the medium again */
#define E_TABLES_CHECKSUM       0x0304
#define E_TABLES_CHECKSUM_TEXT  "the tables' checksum is %x, but they say %x: the image is damaged"
/* values: found=0x1c291ca3; said=0x2144df1c
 * means: The tables were changed between the build and the boot: their CRC-32 is {found}, and they say {said}.
 * causes: a damaged medium or transfer; defective memory; a loader that wrote over them
 * try: write the medium again and let it be read back (`invoke flash` does); test the memory; another way of
 *   booting */
#define E_TABLES_COUNT          0x0305
#define E_TABLES_COUNT_TEXT     "the tables list %u domains and %u modules; at most %u and %u are allowed"
/* values: domains=100; modules=3; most_domains=64; most_modules=63
 * means: The tables list {domains} domains and {modules} modules, and at most {most_domains} and {most_modules}
 *   are possible.
 * causes: tables that were changed by something else than bootwright
 * try: build the image anew */
#define E_TABLES_OFFSET         0x0306
#define E_TABLES_OFFSET_TEXT    "the tables refer to byte %x, but are only %x bytes long"
/* values: offset=0x2000; length=0x1000
 * means: The tables refer to their byte {offset}, and are only {length} bytes long.
 * causes: tables that were changed by something else than bootwright
 * try: build the image anew */

#define E_TABLES_INDEX          0x0307
#define E_TABLES_INDEX_TEXT     "the tables refer to %s %u of %u"
/* values: what=module; index=7; count=3
 * means: The tables refer to {what} {index}, and there are {count}.
 * causes: tables that were changed by something else than bootwright
 * try: build the image anew */

#define E_NOTHING_TO_BOOT       0x0308
#define E_NOTHING_TO_BOOT_TEXT  "this image has no tables, and the loader handed over no module to boot"
/* means: This is the generic stub, without a description inside, and the loader brought no module: there is
 *   nothing to start.
 * causes: a menu entry without `module2` lines; a loader that dropped the modules
 * try: give the kernel as the first module, then its ramdisk; or build an image from a description */

/* 04: memory. */
#define E_NO_RAM                0x0401
#define E_NO_RAM_TEXT           "the memory map has no RAM at all in its %u entries"
/* values: count=3
 * means: None of the {count} entries of the memory map is usable RAM.
 * causes: a loader or firmware whose map has other types than are known; a damaged map
 * try: `log = "debug"` prints the map; another way of booting; report it with that map */
#define E_NO_ROOM               0x0402
#define E_NO_ROOM_TEXT          "%s is to lie at [%x, %x), which is not all RAM, and has no other place"
/* values: what=kernel dom0; start=0x1000000; end=0x4000000
 * means: {what} was planned for [{start}, {end}). On this machine not all of that is RAM, and it can lie nowhere
 *   else.
 * causes: a machine with less memory, or with a hole there; a firmware that keeps that range for itself
 * try: `probe` the machine, then `plan NAME --machine M` says what fits; a kernel that can be moved (a relocatable
 *   bzImage); the other firmware mode, BIOS or UEFI */
#define E_NO_FREE_ROOM          0x0403
#define E_NO_FREE_ROOM_TEXT     "no %u bytes of free RAM below 4 GiB to move %s to"
/* values: bytes=16777216; what=module ramdisk
 * means: {what} lies where something else must go, and there are no {bytes} free bytes below 4 GiB in one piece to
 *   move it to.
 * causes: too little memory below 4 GiB; a memory map in many small pieces
 * try: a smaller ramdisk; `pack = "lz4"`; a machine with more memory; the other firmware mode */
#define E_HANDOVER_ROOM         0x0405
#define E_HANDOVER_ROOM_TEXT    "no %u bytes of free RAM below 1 GiB for what the kernel is told"
/* values: bytes=8192
 * means: There are no {bytes} free bytes below 1 GiB for what the kernel is told (its command line and the memory
 *   map).
 * causes: a memory map in very many pieces; nearly all memory is taken by modules
 * try: a smaller ramdisk; a machine with more memory */
#define E_TOO_MANY_DEFERRED     0x0406
#define E_TOO_MANY_DEFERRED_TEXT "module %s: more than %u pieces go to where the stub is"
/* values: module=ramdisk; most=16
 * means: Parts of module {module} belong where the stub itself runs, and at most {most} of them can wait until the
 *   stub leaves.
 * causes: a kernel of very many small segments at the stub's address
 * try: the other firmware mode, in which the stub lies elsewhere; `pack = "none"`; report it with NAME.map */
#define E_TOO_LITTLE_MEMORY     0x0404
#define E_TOO_LITTLE_MEMORY_TEXT "domain %s needs %u KiB of memory; this machine has %u KiB"
/* values: domain=dom0; needed=983040; there=261120
 * means: Domain {domain} must have {needed} KiB of memory at least (its `memory-min`), and this machine has
 *   {there} KiB in all.
 * causes: a machine with less memory than the description asks for; QEMU with a smaller `--memory`
 * try: lower `memory` (and `memory-min`) of domain {domain}; a machine, or `run --memory`, with more */

/* 05: modules. */
#define E_MODULE_MISSING        0x0501
#define E_MODULE_MISSING_TEXT   "module %s is not among the %u that the loader handed over"
/* values: module=vmlinuz; found=1
 * means: The description says `modules = "loader"`, and module {module} is not among the {found} that the loader
 *   brought. They are matched by their names.
 * causes: no `module2` line for it; a line whose last word is another name
 * try: a line `module2 FILE {module}` for it, as the folder `modules` of the build has the files; or `modules =
 *   "embedded"` */
#define E_MODULE_SIZE           0x0502
#define E_MODULE_SIZE_TEXT      "module %s is %u bytes long, but %u bytes were planned"
/* values: module=vmlinuz; found=8000000; planned=8123456
 * means: The loader brought a file of {found} bytes for module {module}; the image was built for one of {planned}.
 * causes: another version of the file lies on the medium; a transfer that was cut short
 * try: copy the file of the folder `modules` of this build; build anew with the file that is meant */
#define E_MODULE_HASH           0x0503
#define E_MODULE_HASH_TEXT      "module %s at [%x, %x) has another SHA-256 than planned: it is damaged or not the one built for"
/* values: module=vmlinuz; start=0x1000000; end=0x17c0000
 * means: The bytes of module {module} at [{start}, {end}) are not those that the image was built with.
 * causes: a damaged medium or transfer; defective memory; a firmware or loader that wrote into that range; for
 *   `modules = "loader"`: another file of the same size
 * try: write the medium again and let it be read back; test the memory; boot once more: the same bytes wrong twice
 *   speak for the medium, others for the memory */
#define E_MODULE_PIECE          0x0504
#define E_MODULE_PIECE_TEXT     "module %s: a piece takes bytes [%x, %x) of a module of %x bytes"
/* values: module=vmlinuz; start=0x10000; end=0x20000; size=0x18000
 * means: Module {module} is {size} bytes long, and the tables want bytes [{start}, {end}) of it.
 * causes: tables that were changed by something else than bootwright
 * try: build the image anew */
#define E_MODULE_UNPACK         0x0505
#define E_MODULE_UNPACK_TEXT    "module %s: the LZ4 block at %x does not unpack to %u bytes"
/* values: module=vmlinuz; address=0x1200000; bytes=262144
 * means: The packed block at {address} of module {module} does not unpack to {bytes} bytes: it is damaged.
 * causes: a damaged medium or memory, with `verify = false`, which lets it come so far
 * try: `verify = true`; write the medium again; test the memory; `pack = "none"` */

#define E_MODULE_RAM            0x0506
#define E_MODULE_RAM_TEXT       "module %s at [%x, %x) does not lie in RAM: this machine has too little, or a hole there"
/* values: module=ramdisk; start=0x3f000000; end=0x45000000
 * means: The loader put module {module} at [{start}, {end}), and the memory map does not call all of that RAM.
 * causes: a machine with too little memory; a loader that does not look at the map (multiboot loaders put segments
 *   where the file says)
 * try: `plan NAME --machine M`; a machine with more memory; a smaller image; UEFI: NAME.efi, which is put where
 *   there is room */

/* 06: the domain builder. */
#define E_NO_INITIAL_DOMAIN     0x0601
#define E_NO_INITIAL_DOMAIN_TEXT "none of the %u domains is the initial domain"
/* values: count=2
 * means: There are {count} domains, and none has the function `initial-domain`, which the launcher starts.
 * causes: a device tree that marks none
 * try: mark one: `functions = ["initial-domain"]`, in a device tree its number in `functions` */
#define E_NO_KERNEL             0x0602
#define E_NO_KERNEL_TEXT        "domain %s is the initial domain and has no kernel"
/* values: domain=dom0
 * means: Domain {domain} is the initial domain, and has no kernel.
 * causes: a device tree whose domain has no node of kind kernel; a module that the loader did not bring
 * try: give it a `kernel`; see which modules the line `tables:` and the lines `module` list */
#define E_CMDLINE_TOO_LONG      0x0603
#define E_CMDLINE_TOO_LONG_TEXT "the command line of domain %s would be longer than the %u bytes that %s takes"
/* values: domain=dom0; most=2047; reader=linux
 * means: The command line of domain {domain}, with what the loader's adds behind ` -- `, is longer than the {most}
 *   bytes that {reader} takes.
 * causes: many words behind ` -- ` on the loader's command line; a kernel that takes little
 * try: shorten the `cmdline` of the description, or the words behind ` -- ` */
#define E_NO_GUEST_INTERFACE    0x0604
#define E_NO_GUEST_INTERFACE_TEXT "domain %s has mode %x, and the native launcher builds only PVH; a PV domain needs launcher = xen"
/* values: domain=domU; mode=0x1
 * means: Domain {domain} is to be virtualised in mode {mode}, and without a hypervisor there is only PVH.
 * causes: a device tree or a description made for Xen, booted natively
 * try: `mode = "pvh"`; `launcher = "xen"` */
#define E_NO_HARDWARE_DOMAIN    0x0605
#define E_NO_HARDWARE_DOMAIN_TEXT "no hardware domain was built, of %u domains"
/* values: count=2
 * means: None of the {count} domains that were built owns the hardware.
 * causes: the hardware domain was skipped, as a warning above says
 * try: permission `hardware` for the initial domain; see the warnings above */
#define E_DOMID                 0x0606
#define E_DOMID_TEXT            "domain %s has domid %u, but the initial domain is domid %u"
/* values: domain=dom0; domid=5; expected=0
 * means: Domain {domain} has domid {domid}, and the initial domain has domid {expected}.
 * causes: a description or a device tree that numbers the initial domain otherwise
 * try: leave `domid` out, or say 0 */
#define E_VCPU                  0x0607
#define E_VCPU_TEXT             "domain %s: vcpu 0 is in state %u, not %u"
/* values: domain=dom0; state=2; expected=0
 * means: The first virtual cpu of domain {domain} is in state {state} instead of {expected} when the domain is to
 *   be built.
 * causes: a fault of the stub
 * try: report it with the whole log and NAME.map */

#define E_KERNEL_SHORT          0x0608
#define E_KERNEL_SHORT_TEXT     "domain %s: the kernel file is %x bytes long, but refers to byte %x"
/* values: domain=dom0; size=0x1000; offset=0x2000
 * means: The kernel file of domain {domain} is {size} bytes long, and its headers refer to byte {offset}.
 * causes: a file that was cut short on its way to the medium; a file that is no kernel
 * try: compare its size with the original; copy it again */
#define E_KERNEL_UNKNOWN        0x0609
#define E_KERNEL_UNKNOWN_TEXT   "domain %s: module %s is no kernel that this stub can launch"
/* values: domain=dom0; module=vmlinuz
 * means: Module {module}, the kernel of domain {domain}, has no header by which this stub could start it.
 * causes: the modules are in another order: the first is the kernel; a compressed file that the loader did not
 *   unpack; a kernel of another architecture
 * try: the kernel as first module; docs/kernels.md says what is known; `invoke image` with a description looks
 *   into the file and says more */
#define E_TOO_MANY_SEGMENTS     0x0610
#define E_TOO_MANY_SEGMENTS_TEXT "domain %s: the kernel has %u program headers; at most %u can be read"
/* values: domain=dom0; count=200; most=64
 * means: The kernel of domain {domain} has {count} program headers, and at most {most} are read.
 * causes: an ELF file that is no kernel; an unusual link
 * try: link it with fewer segments */
#define E_KERNEL_BROKEN         0x0611
#define E_KERNEL_BROKEN_TEXT    "domain %s: the kernel %s %x"
/* values: domain=dom0; what=ends before its segment; address=0x200000
 * means: The headers of the kernel of domain {domain} contradict themselves: it {what} {address}.
 * causes: a damaged file; a file made by a tool that has it otherwise
 * try: copy the file again; `invoke image` with it says the same with more words; docs/kernels.md has the rules */
#define E_KERNEL_REQUIRES       0x0612
#define E_KERNEL_REQUIRES_TEXT  "domain %s: the kernel requires by its %s header what is not done here: %s %x"
/* values: domain=dom0; header=multiboot2; what=tag; value=0x10
 * means: The kernel of domain {domain} says in its {header} header that it needs {what} {value}, which is not done
 *   here.
 * causes: a kernel for another loader
 * try: another `protocol` for it, if its file has several; docs/kernels.md lists what is done */

/* 07: launch. */
#define E_PROTOCOL              0x0701
#define E_PROTOCOL_TEXT         "%s asks for launch protocol %u, which this stub does not have"
/* values: what=dom0; protocol=5
 * means: {what} is to be entered by launch protocol {protocol}, for which this stub has no code: it is linked with
 *   what its image needs alone.
 * causes: tables and stub of two builds
 * try: build the image anew and write all of it */
#define E_ENTRY                 0x0702
#define E_ENTRY_TEXT            "%s: entry %x is outside of what was loaded"
/* values: what=dom0; entry=0x1000000
 * means: The entry {entry} of {what} lies in nothing that was loaded.
 * causes: a damaged kernel file; a kernel that was linked for another address
 * try: look at the file's entry with readelf -h; copy it again */
#define E_NO_BIOS               0x0703
#define E_NO_BIOS_TEXT          "domain %s: its kernel starts in real mode, which needs a BIOS, and there is none (entered by %s)"
/* values: domain=dom0; entered=efi
 * means: The kernel of domain {domain} starts in real mode and calls the BIOS, and there is none: the stub was
 *   entered by {entered}.
 * causes: a very old kernel, or one that needs its real-mode code, on a UEFI machine
 * try: boot by BIOS (CSM); a kernel with the 32- or 64-bit entry of the Linux boot protocol */

/* 08: the partition launcher's resident part. */
#define E_PARTITION_MAGIC       0x0801
#define E_PARTITION_MAGIC_TEXT  "the data at %x start with %x, not with the magic of a partition"
/* values: address=0x400000; found=0x0
 * means: Where the data of the partition should lie, at {address}, there is something else: {found}.
 * causes: a damaged image with `verify = false`; memory that is none
 * try: `verify = true`; build the image anew; test the memory */
#define E_PARTITION_LENGTH      0x0802
#define E_PARTITION_LENGTH_TEXT "the partition says that it is %u bytes long; at most %u are read"
/* values: said=100000000; most=16777216
 * means: The partition says that it is {said} bytes long, and at most {most} are read.
 * causes: a damaged image with `verify = false`
 * try: `verify = true`; build the image anew */
#define E_PARTITION_CHECKSUM    0x0803
#define E_PARTITION_CHECKSUM_TEXT "the partition's checksum is %x, but it says %x: the image is damaged"
/* values: found=0x1c291ca3; said=0x2144df1c
 * means: The partition's data were changed between the build and the boot: their CRC-32 is {found}, and they say
 *   {said}.
 * causes: a damaged image; defective memory
 * try: write the medium again; test the memory */
#define E_PARTITION_COUNT       0x0804
#define E_PARTITION_COUNT_TEXT  "the partition lists %u domains and %u cpus of them; from 1 to %u and %u are allowed"
/* values: domains=20; cpus=40; most_domains=16; most_cpus=32
 * means: The partition lists {domains} domains with {cpus} cpus; from 1 to {most_domains} and {most_cpus} are
 *   possible.
 * causes: data that were changed by something else than bootwright
 * try: build the image anew */
#define E_PARTITION_MODULE      0x0805
#define E_PARTITION_MODULE_TEXT "module %u at [%x, %x) does not lie in the 4 GiB that the resident part reaches"
/* values: module=3; start=0xfff00000; end=0x104000000
 * means: Module {module} lies at [{start}, {end}), and the resident part reaches 4 GiB.
 * causes: an image of nearly 4 GiB
 * try: smaller ramdisks */
#define E_PARTITION_INTEL       0x0810
#define E_PARTITION_INTEL_TEXT  "launcher = partition needs AMD's SVM; this is an Intel cpu"
/* means: `launcher = "partition"` runs domains by AMD's SVM. This is an Intel cpu, which has VMX instead.
 * causes: an Intel machine; QEMU with an Intel cpu model
 * try: an AMD machine; QEMU: `run` gives the right cpu by itself, without `--cpu`; `launcher = "xen"` */
#define E_NO_SVM                0x0811
#define E_NO_SVM_TEXT           "launcher = partition needs AMD's SVM, which this cpu does not have"
/* means: `launcher = "partition"` runs domains by AMD's SVM, and this cpu does not have it.
 * causes: an old cpu; a virtual machine whose hypervisor does not hand SVM on
 * try: another machine; nested virtualisation of the hypervisor switched on */
#define E_SVM_OFF               0x0812
#define E_SVM_OFF_TEXT          "the firmware has switched SVM off (VM_CR %s): switch it on there"
/* values: vm_cr=locked
 * means: The cpu has SVM, and the firmware has switched it off: VM_CR is {vm_cr}.
 * causes: the setting of the firmware
 * try: firmware setup: SVM, AMD-V or virtualisation: on; then switch the machine off and on */
#define E_NO_NESTED_PAGING      0x0813
#define E_NO_NESTED_PAGING_TEXT "launcher = partition needs nested paging, which this cpu's SVM does not have"
/* means: The cpu has SVM without nested paging, by which domains are kept apart.
 * causes: an old cpu; an emulator or hypervisor that does not hand it on
 * try: another machine; QEMU: `-cpu EPYC` or `+npt` */
#define E_NO_TSC_RATE           0x0814
#define E_NO_TSC_RATE_TEXT      "neither CPUID nor the PIT says how fast the time-stamp counter is"
/* means: How fast the time-stamp counter runs is said neither by CPUID nor found by measuring it against the PIT.
 * causes: a machine without PIT, or one that stands still; an emulator that is stopped for long times
 * try: firmware setup: legacy timer (8254) clock gating off; boot again; report it with the machine's probe */
#define E_NO_RSDP               0x0820
#define E_NO_RSDP_TEXT          "there is no ACPI root pointer at %x, and without ACPI's tables the cpus are not known"
/* values: address=0x0
 * means: The cpus of the machine are named by ACPI's tables, and their root pointer is not at {address}.
 * causes: a loader that does not hand it over, on a UEFI machine; ACPI switched off
 * try: start NAME.efi, or another loader; firmware setup: ACPI on */
#define E_NO_MADT               0x0821
#define E_NO_MADT_TEXT          "ACPI's root table at %x has no MADT below 4 GiB, or is damaged"
/* values: address=0x7fe0000
 * means: ACPI's root table at {address} has no table of cpus (MADT) below 4 GiB, or one of both is damaged.
 * causes: a firmware without it; tables above 4 GiB; memory that was overwritten
 * try: update the firmware; `probe` shows what the machine says of its cpus */
#define E_MADT                  0x0822
#define E_MADT_TEXT             "ACPI's MADT at %x is damaged"
/* values: address=0x7fe1000
 * means: ACPI's table of cpus (MADT) at {address} is damaged: its checksum or its lengths are wrong.
 * causes: a fault of the firmware; memory that was overwritten
 * try: update the firmware; report it with the machine's probe */
#define E_TOO_MANY_CPUS         0x0823
#define E_TOO_MANY_CPUS_TEXT    "this machine has more than %u cpus"
/* values: most=256
 * means: The machine has more than the {most} cpus that the resident part counts.
 * causes: a large server
 * try: firmware setup: fewer cores or no SMT */
#define E_BOOT_CPU              0x0824
#define E_BOOT_CPU_TEXT         "ACPI's MADT does not have the cpu that boots, APIC id %u"
/* values: id=4
 * means: The cpu that boots, with APIC id {id}, is not among those that ACPI's MADT lists.
 * causes: a fault of the firmware
 * try: update the firmware; report it with the machine's probe */
#define E_CPU_MISSING           0x0825
#define E_CPU_MISSING_TEXT      "domain %s: this machine has no enabled cpu with the APIC id %u that its cpu-ids name"
/* values: domain=second; id=9
 * means: `cpu-ids` of domain {domain} names APIC id {id}, and this machine has no enabled cpu of that id.
 * causes: a description for another machine; a core that is switched off in the firmware
 * try: `probe` lists the ids; leave `cpu-ids` out, so that the next free ones are taken */
#define E_CPU_TWICE             0x0826
#define E_CPU_TWICE_TEXT        "domain %s: the cpu with APIC id %u that its cpu-ids name has been given away already"
/* values: domain=second; id=1
 * means: `cpu-ids` of domain {domain} names APIC id {id}, which another domain has got already.
 * causes: two domains that name the same cpu, or one that names none took it before
 * try: name the cpus of all domains, or of none */
#define E_TOO_FEW_CPUS          0x0827
#define E_TOO_FEW_CPUS_TEXT     "domain %s: there is no cpu left for its cpu %u: all domains need %u, this machine has %u"
/* values: domain=second; cpu=0; needed=4; there=2
 * means: All domains together need {needed} cpus and this machine has {there}: there is none left for cpu {cpu} of
 *   domain {domain}.
 * causes: a smaller machine; SMT or cores switched off; QEMU with fewer `--cpus`
 * try: fewer `cpus` of domains; fewer domains; a larger machine */
#define E_CPU_SILENT            0x0828
#define E_CPU_SILENT_TEXT       "domain %s: the cpu that is to be its cpu %u, APIC id %u, does not answer"
/* values: domain=second; cpu=1; id=3
 * means: The cpu with APIC id {id}, which is to be cpu {cpu} of domain {domain}, did not answer when it was
 *   started.
 * causes: a core that the firmware lists and that is switched off; a firmware that keeps it for itself
 * try: `cpu-ids` with other cpus; firmware setup: all cores on; update the firmware */
#define E_NO_LOW_PAGE           0x0829
#define E_NO_LOW_PAGE_TEXT      "no page of free RAM in [%x, %x) to start the other cpus from"
/* values: start=0x1000; end=0xa0000
 * means: The other cpus begin in real mode, in a page below 1 MiB, and [{start}, {end}) has no free one.
 * causes: a firmware that keeps all memory below 1 MiB
 * try: the other firmware mode; report it with the memory map (`log = "debug"`) */
#define E_NO_BANK               0x0830
#define E_NO_BANK_TEXT          "%s %s: no %u MiB of free RAM in one piece below %x"
/* values: what=domain; name=second; size=512; below=0x100000000
 * means: There are no {size} MiB of free RAM in one piece below {below} for {what} {name}.
 * causes: less memory than all domains need; a hole of the memory map in the middle of it
 * try: less `memory` of domains; `plan NAME --machine M` says what fits; a machine with more memory */
#define E_DOMAIN_LOAD           0x0831
#define E_DOMAIN_LOAD_TEXT      "domain %s cannot be loaded: %s %u"
/* values: domain=dom0; what=there is no module; number=3
 * means: What goes into the memory of domain {domain} cannot be put there: {what} {number}.
 * causes: a damaged image with `verify = false`; data that were changed by something else than bootwright
 * try: `verify = true`; build the image anew */
#define E_NESTED_ENTRY          0x0840
#define E_NESTED_ENTRY_TEXT     "domain %s: the nested entry %x at %x, for its address %x, is not what its memory asks for"
/* values: domain=second; entry=0x200067; at=0x295000; address=0x0
 * means: The isolation was checked before the launch, and is not as it must be: the nested page table entry
 *   {entry} at {at}, for the address {address} of domain {domain}, is another one than its memory asks for.
 *   Nothing was launched.
 * causes: defective memory; a fault of the resident part
 * try: test the memory; report it with the whole log and NAME.map */
#define E_NESTED_PAGES          0x0841
#define E_NESTED_PAGES_TEXT     "domain %s: its nested tables map %u pages; its memory has %u"
/* values: domain=second; mapped=65537; pages=65536
 * means: The isolation was checked before the launch: the nested tables of domain {domain} map {mapped} pages, and
 *   its memory has {pages}. Nothing was launched.
 * causes: defective memory; a fault of the resident part
 * try: test the memory; report it with the whole log and NAME.map */
#define E_NESTED_ROOT           0x0842
#define E_NESTED_ROOT_TEXT      "domain %s: the root %x of its nested tables is none of its tables"
/* values: domain=second; root=0x0
 * means: The isolation was checked before the launch: the root {root} of the nested tables of domain {domain} is
 *   none of them. Nothing was launched.
 * causes: defective memory; a fault of the resident part
 * try: test the memory; report it with the whole log and NAME.map */
#define E_RANGES_OVERLAP        0x0843
#define E_RANGES_OVERLAP_TEXT   "[%x, %x), which a domain has, meets [%x, %x)"
/* values: start=0x1000000; end=0x2000000; other_start=0x1800000; other_end=0x1900000
 * means: The isolation was checked before the launch: [{start}, {end}), which one domain has, meets
 *   [{other_start}, {other_end}). Nothing was launched.
 * causes: defective memory; a fault of the resident part
 * try: test the memory; report it with the whole log and NAME.map */

/* 09: device trees, for a stub without tables. */
#define E_FDT_CUT_SHORT         0x0901
#define E_FDT_CUT_SHORT_TEXT    "the device tree in module 0 is %u bytes long, but its %s ends at byte %x"
/* values: size=1000; part=structure; end=0x800
 * means: The device tree in module 0 is {size} bytes long, and its {part} is said to end at byte {end}.
 * causes: a file that was cut short; a module 0 that is another file with the same first bytes
 * try: copy it again; `dtc -I dtb` reads a sound one */
#define E_FDT_VERSION           0x0902
#define E_FDT_VERSION_TEXT      "the device tree in module 0 is version %u; versions from %u to %u can be read"
/* values: version=1; lowest=16; highest=17
 * means: The device tree in module 0 is of version {version}; versions from {lowest} to {highest} are read.
 * causes: a blob made by a very old or very new dtc
 * try: make it anew with a current dtc */
#define E_FDT_STRUCTURE         0x0903
#define E_FDT_STRUCTURE_TEXT    "the device tree in module 0 is malformed at byte %x of its structure"
/* values: offset=0x40
 * means: The device tree in module 0 is malformed at byte {offset} of its structure.
 * causes: a damaged file
 * try: copy it again; `dtc -I dtb` says more */
#define E_FDT_NO_HYPERVISOR     0x0904
#define E_FDT_NO_HYPERVISOR_TEXT "the device tree in module 0 has no node /chosen/hypervisor compatible with hypervisor,xen"
/* means: The device tree in module 0 has no node /chosen/hypervisor that is compatible with hypervisor,xen: it
 *   describes no domains.
 * causes: a device tree of something else, as of a board
 * try: docs/domain-builder.md shows the nodes; `invoke export` writes one from a description */
#define E_FDT_PROPERTY          0x0905
#define E_FDT_PROPERTY_TEXT     "device tree: node %s: the %u bytes of property %s are no value for it"
/* values: node=dom0; bytes=3; property=memory
 * means: In the device tree, property {property} of node {node} has {bytes} bytes, which make no value for it.
 * causes: a number of another width, or a string instead of a number
 * try: docs/domain-builder.md says what each property is; `invoke image FILE.dts` names file and line */
#define E_FDT_MODULE            0x0906
#define E_FDT_MODULE_TEXT       "device tree: node %s: module %u is not one of modules 1 to %u"
/* values: node=kernel; module=4; most=2
 * means: In the device tree, node {node} names module {module}, and the loader brought modules 1 to {most} behind
 *   the device tree.
 * causes: a `module2` line that is missing, or in another order
 * try: the modules in the order of their module-index */
#define E_FDT_MODULE_KIND       0x0907
#define E_FDT_MODULE_KIND_TEXT  "device tree: node %s: its compatible names no kind of module"
/* values: node=module@1
 * means: In the device tree, the compatible of node {node} names no kind of module.
 * causes: a misspelt compatible, as `module,kernel`
 * try: docs/domain-builder.md lists the kinds */
