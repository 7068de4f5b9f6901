/* ELF (System V gABI): what is needed to load a kernel. */

#define ELF_MAGIC       0x464c457f
#define ELF_CLASS       4               /* offset in e_ident */
#define ELF_CLASS_32    1
#define ELF_CLASS_64    2
#define ELF_DATA        5               /* offset in e_ident */
#define ELF_DATA_LITTLE 1
#define ELF_ET_EXEC     2
#define ELF_ET_DYN      3
#define ELF_EM_386      3
#define ELF_EM_X86_64   62
#define ELF_PT_LOAD     1
#define ELF_PT_NOTE     4
#define ELF_MAX_HEADERS 128             /* program headers of a kernel; they have fewer than ten */
#define ELF_MAX_NOTES   0x100000        /* bytes of a note segment */
#define ELF_SHT_NOBITS  8
#define XEN_NOTE_NAME   0x006e6558      /* "Xen" */

#define PROBE_ENTRY     0               /* what probe_elf looks for: the multiboot header's entry, or the file's */
#define PROBE_PVH_NOTE  1

struct elf32_ehdr {
    uint8  e_ident[16];
    uint16 e_type;
    uint16 e_machine;
    uint32 e_version;
    uint32 e_entry;
    uint32 e_phoff;
    uint32 e_shoff;
    uint32 e_flags;
    uint16 e_ehsize;
    uint16 e_phentsize;
    uint16 e_phnum;
    uint16 e_shentsize;
    uint16 e_shnum;
    uint16 e_shstrndx;
};

struct elf64_ehdr {
    uint8  e_ident[16];
    uint16 e_type;
    uint16 e_machine;
    uint32 e_version;
    uint64 e_entry;
    uint64 e_phoff;
    uint64 e_shoff;
    uint32 e_flags;
    uint16 e_ehsize;
    uint16 e_phentsize;
    uint16 e_phnum;
    uint16 e_shentsize;
    uint16 e_shnum;
    uint16 e_shstrndx;
};

struct elf32_phdr {
    uint32 p_type;
    uint32 p_offset;
    uint32 p_vaddr;
    uint32 p_paddr;
    uint32 p_filesz;
    uint32 p_memsz;
    uint32 p_flags;
    uint32 p_align;
};

struct elf64_phdr {
    uint32 p_type;
    uint32 p_flags;
    uint64 p_offset;
    uint64 p_vaddr;
    uint64 p_paddr;
    uint64 p_filesz;
    uint64 p_memsz;
    uint64 p_align;
};

struct elf32_shdr {
    uint32 sh_name;
    uint32 sh_type;
    uint32 sh_flags;
    uint32 sh_addr;
    uint32 sh_offset;
    uint32 sh_size;
    uint32 sh_link;
    uint32 sh_info;
    uint32 sh_addralign;
    uint32 sh_entsize;
};

struct elf64_shdr {
    uint32 sh_name;
    uint32 sh_type;
    uint64 sh_flags;
    uint64 sh_addr;
    uint64 sh_offset;
    uint64 sh_size;
    uint32 sh_link;
    uint32 sh_info;
    uint64 sh_addralign;
    uint64 sh_entsize;
};

struct elf_nhdr {
    uint32 n_namesz;
    uint32 n_descsz;
    uint32 n_type;
};

struct segment {            /* a program header of either class, as the stub reads it */
    uint64 offset;
    uint64 vaddr;
    uint64 paddr;
    uint64 filesz;
    uint64 memsz;
    uint64 align;
    uint32 type;
};
